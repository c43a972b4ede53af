# Functions that break one thing on a lab host; the words of @control(..., sabotage="...").
# Sent to the host before the line itself, as root. Every one of them must be healed by its role.

umask 022 # as where faults come from; sudo's own is narrower
test -s /etc/tameng-lab || { echo "refused: this is no lab host" >&2; exit 9; }

# set_sshd KEY VALUE [KEY VALUE ...]: change our own drop-in by hand and reload.
set_sshd() {
    while [ $# -gt 1 ]; do
        sed -i "s|^$1 .*|$1 $2|" /etc/ssh/sshd_config.d/00-tameng.conf
        grep -q "^$1 $2\$" /etc/ssh/sshd_config.d/00-tameng.conf ||
            echo "$1 $2" >>/etc/ssh/sshd_config.d/00-tameng.conf
        shift 2
    done
    sshd -t && systemctl reload ssh.service
}

# precede_sshd KEY VALUE: somebody else's drop-in that sshd reads before ours.
precede_sshd() {
    echo "$1 $2" >/etc/ssh/sshd_config.d/00-aaa.conf
    sshd -t && systemctl reload ssh.service
}

# except_sshd WHOM KEY VALUE: somebody else's Match block.
except_sshd() {
    printf 'Match %s\n  %s %s\n' "$1" "$2" "$3" >/etc/ssh/sshd_config.d/99-other.conf
    sshd -t && systemctl reload ssh.service
}

# drop_rule WORDS: delete the loaded rules whose text has these words.
drop_rule() {
    for handle in $(nft -a list chain inet tameng input | grep -F -- "$1" | sed 's/.*# handle //'); do
        nft delete rule inet tameng input handle "$handle"
    done
}

# flush_chains CHAIN ...: the gateway's rules without these.
flush_chains() {
    for chain in "$@"; do nft flush chain inet tameng_gateway "$chain" || return; done
}

# add_chrony LINE ...: lines added to chrony's configuration by hand.
add_chrony() {
    for line in "$@"; do
        sed -i "/^${line%% *} 0\$/d" /etc/chrony/tameng.conf
        echo "$line" >>/etc/chrony/tameng.conf
    done
    systemctl restart chrony.service
}

# set_chrony_source ADDRESS: no other source of time than this one.
set_chrony_source() {
    sed -i '/^local stratum/d; /^server /d; /^pool /d' /etc/chrony/tameng.conf
    add_chrony "server $1 iburst"
}

# set_apt LINE: somebody else's apt option, read after ours.
set_apt() {
    echo "$1" >/etc/apt/apt.conf.d/zzz-sabotage
}

# move_timer TIMER HH:MM: somebody else's drop-in that moves a timer to another hour of every day.
move_timer() {
    mkdir -p "/etc/systemd/system/$1.d"
    printf '[Timer]\nOnCalendar=\nOnCalendar=*-*-* %s:00\n' "$2" >"/etc/systemd/system/$1.d/zzz.conf"
    systemctl daemon-reload && systemctl restart "$1"
}

# tamper ACT: from seals that are right, change a file by hand; the daily check then runs.
tamper() {
    grep -q '"unexplained": {}' /var/lib/tameng/integrity.json || /usr/local/lib/tameng/integrity accept lab
    sh -c "$1" && /usr/local/lib/tameng/integrity check
}

# aide_first RULE: somebody else's rule of AIDE before ours.
aide_first() {
    sed -i "1i $1" /etc/aide/aide.conf
}

# age_last_check: as if the files had not been checked for years.
age_last_check() {
    sed -i 's/"checked": "[0-9-]*T/"checked": "2020-01-01T/' /var/lib/tameng/integrity.json
}

# remount PATH FLAGS: a mount that somebody loosened by hand.
remount() {
    mount -o "remount,bind,$(findmnt -rno VFS-OPTIONS "$1" | tail -n 1),$2" "$1"
}

# outbid FOLDER UNIT LINE ...: somebody else's drop-in that is read after ours, and the unit that reads it.
outbid() {
    folder=/etc/systemd/$1 unit=$2
    shift 2
    mkdir -p "$folder"
    printf '%s\n' "$@" >"$folder/zzz.conf"
    systemctl daemon-reload && systemctl restart --no-block "$unit" && sleep 1
}

# strand_log: all of the journal waits, for a log server that isn't there.
strand_log() {
    state=/var/lib/private/systemd/journal-upload/state
    systemctl stop systemd-journal-upload.service
    journalctl -q -o export 2>/dev/null | sed -n '/^__CURSOR=/{s//LAST_CURSOR=/p;q}' >"$state"
    outbid journal-upload.conf.d systemd-journal-upload.service '[Upload]' URL=https://198.51.100.9:19532
}

# self_signed FILE KEY NAME DAYS: a certificate that no authority has signed.
self_signed() {
    openssl req -x509 -new -key "$2" -subj "/CN=$3" -days "$4" -out "$1"
}

# silence_host: the log server stops taking in one host's log, and loses what it had.
silence_host() {
    name=$(basename "$(ls /var/log/journal/remote/*.journal | grep -v @ | head -n 1)" .journal)
    systemctl stop "tameng-log@$name.socket" "tameng-log@$name.service"
    rm -f "/var/log/journal/remote/$name.journal" "/var/log/journal/remote/$name@"*
}

# open_gate: the log server's gate asks nobody who he is.
open_gate() {
    sed -i 's/ssl_verify_client on/ssl_verify_client off/; s/default "";/default nobody;/' /etc/tameng/log/gate.conf
    systemctl restart tameng-log-gate.service
}

# in_warnings_book STATEMENT: somebody's hand in the early warning's book.
in_warnings_book() {
    python3 -c 'import sqlite3, sys
with sqlite3.connect("/var/lib/tameng-warnings/book.sqlite", 20) as book: book.execute(sys.argv[1])' "$1"
}

# deafen_warnings: the early warning sees no other host's log, for two hours by now.
deafen_warnings() {
    outbid system/tameng-warnings.service.d tameng-warnings.service '[Service]' InaccessiblePaths=/var/log/journal/remote
    in_warnings_book 'UPDATE hosts SET heard = heard - 7200'
}

# misdirect_warnings: they go where nobody listens; one is on its way.
misdirect_warnings() {
    sed -i 's/:2525/:2526/' /etc/tameng/warnings-addresses.json
    systemctl restart tameng-warnings.service && sleep 2 && /usr/local/sbin/warnings test
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        sleep 1
        ! /usr/local/sbin/warnings waiting | grep -q error || return 0
    done
}

# strand_warning: one is on its way for two hours.
strand_warning() {
    misdirect_warnings
    in_warnings_book 'UPDATE letters SET made = made - 7200 WHERE sent IS NULL'
}

# old_security_hole PACKAGE: a version before the security archive's, and long seen by the machine. Repacked
# here: after a point release Debian itself has none that is older.
old_security_hole() {
    work=$(mktemp -d) && cd "$work" && apt-get -qq -o APT::Sandbox::User=root download "$1" &&
        dpkg-deb -R "$1"_*.deb tree && sed -i 's/^Version: .*/&~hole/' tree/DEBIAN/control &&
        dpkg-deb -b tree old.deb >/dev/null && dpkg -i old.deb >/dev/null 2>&1 && cd / && rm -rf "$work" &&
        systemctl stop tameng-updates-waiting.service && /usr/local/lib/tameng/updates_waiting &&
        sed -i 's/"since": "[0-9-]*T/"since": "2020-01-01T/' /var/lib/tameng/updates-waiting.json
}

# replace_library_under WORD: as an upgrade does it, a new file in the place of a library that runs.
replace_library_under() {
    for library in /usr/lib/python3/dist-packages/"$1".*.so; do
        cp -p "$library" "$library.new" && mv "$library.new" "$library"
    done
}

# edit_sources SED: what somebody writes into apt's list of sources.
edit_sources() {
    sed -i "$1" /etc/apt/sources.list
}

# boot_setting KEY VALUE: somebody else's kernel setting, read after ours, for the next start.
boot_setting() {
    echo "$1 = $2" >/etc/sysctl.d/zzz-sabotage.conf
}

# allow_module NAME: our refusal taken out by hand.
allow_module() {
    sed -i "/ $1\( \|\$\)/d" /etc/modprobe.d/00-tameng.conf
}

# precede_module NAME: somebody else's file that modprobe reads before ours.
precede_module() {
    echo "install $1 /sbin/modprobe --ignore-install $1" >/etc/modprobe.d/00-aaa.conf
}

# loosen FILE KEY VALUE: a later line of the same file that says something else.
loosen() {
    echo "$2 = $3" >>"$1"
}

# sudoers_line LINE: somebody else's rules, read after ours.
sudoers_line() {
    echo "$1" >/etc/sudoers.d/zzz-other && chmod 0440 /etc/sudoers.d/zzz-other && visudo -cq
}

# forget_helpers: sudo's program as a package brings it, without its access list.
forget_helpers() {
    python3 -c 'import os; os.removexattr("/usr/bin/sudo", "system.posix_acl_access")'
}

# idle_for_ever: logind without our settings.
idle_for_ever() {
    rm /etc/systemd/logind.conf.d/tameng.conf && systemctl restart systemd-logind.service
}

# set_dconf DATABASE FOLDER KEY VALUE: somebody else's setting for all users, read after ours.
set_dconf() {
    printf '[%s]\n%s=%s\n' "$2" "$3" "$4" >"/etc/dconf/db/$1.d/zzz-sabotage" && dconf update
}

# unlock_dconf KEY: users may change it.
unlock_dconf() {
    sed -i "/\/$1\$/d" /etc/dconf/db/local.d/locks/zz-tameng && dconf update
}

# unlisted_restart: a package asks for a restart, and the list of what waits doesn't know.
unlisted_restart() {
    touch /run/reboot-required
    sed -i 's/"reboot_since": .*/"reboot_since": null/' /var/lib/tameng/updates-waiting.json
}

# stand_in UNIT [PORT]: a unit that stands for a service (it sleeps, or listens on the port).
stand_in() {
    systemctl unmask -q "$1"
    printf '[Service]\nExecStart=%s\n' "/bin/${2:+env python3 -m http.server -d /srv $2}" |
        sed 's|^ExecStart=/bin/$|ExecStart=/bin/sleep infinity|' >"/run/systemd/system/$1"
    systemctl daemon-reload && systemctl start "$1" || return
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        [ -z "${2-}" ] || ss -Hltn "sport = :$2" | grep -q . || sleep 0.5
    done
}

# fake_package NAME [--unpack]: an empty package of that name, installed or only unpacked; newer than any
# archive's, or it would be an update that waits.
fake_package() {
    folder=$(mktemp -d) && mkdir "$folder/DEBIAN" && chmod 0755 "$folder" "$folder/DEBIAN"
    printf 'Package: %s\nVersion: 99:1\nArchitecture: all\nMaintainer: nobody <n@localhost>\nDescription: x\n' "$1" \
        >"$folder/DEBIAN/control"
    dpkg-deb -b "$folder" "$folder.deb" >/dev/null && dpkg "${2:---install}" "$folder.deb" >/dev/null
}

# set_auditd KEY VALUE: change auditd's settings by hand.
set_auditd() {
    sed -i "s|^$1 = .*|$1 = $2|" /etc/audit/auditd.conf
}

# only_complain PROFILE: the kernel lets the program do what its AppArmor profile forbids, and notes it.
only_complain() {
    apparmor_parser --complain --replace "$1"
}

# edit_menu SED: GRUB's menu changed by hand.
edit_menu() {
    sed -i "$1" /boot/grub/grub.cfg
}

# outbid_jail JAIL LINE: somebody else's settings of a jail, read after ours.
outbid_jail() {
    printf '[%s]\n%s\n' "$1" "$2" >/etc/fail2ban/jail.d/zzz-other.local && systemctl restart fail2ban.service
}

# outbid_fail2ban LINE: somebody else's settings of the daemon, read after ours.
outbid_fail2ban() {
    printf '[DEFAULT]\n%s\n' "$1" >/etc/fail2ban/fail2ban.d/zzz-other.local && systemctl restart fail2ban.service
}

# tell_fail2ban KEY VALUE: said to the running daemon, and to no file.
tell_fail2ban() {
    fail2ban-client set sshd "$@" >/dev/null
}

# restart_again UNIT: rounds of one host alone are quick: systemd gives up on a unit that is started more than five times within ten
# seconds, and all that follows fails. Its count begins anew.
restart_again() {
    systemctl reset-failed "$1" && systemctl restart "$1"
}

# set_site SED: the web server's site changed by hand.
set_site() {
    sed -i "$1" /etc/apache2/sites-available/tameng.conf || return
    restart_again apache2.service
}

# old_protocols: whatever this machine's OpenSSL still can.
old_protocols() {
    set_site 's/SSLProtocol .*/SSLProtocol all/; s/SSLCipherSuite .*/SSLCipherSuite ALL:@SECLEVEL=0/'
}

# list_folders: the web server shows what lies in a folder that has no page.
list_folders() {
    a2enmod -q autoindex
    set_site '$a <Directory /var/lib/wordpress/wp-content/languages>\nOptions +Indexes\n</Directory>'
}

# foreign_certificate DAYS: the web server shows a certificate of its own making.
foreign_certificate() {
    self_signed /etc/tameng/web/host.crt /etc/tameng/web/host.key "$(hostname)" "$1" || return
    restart_again apache2.service
}

# set_website SED: what the web server serves of the website changed by hand.
set_website() {
    sed -i "$1" /etc/apache2/tameng-site.d/wordpress.conf || return
    restart_again apache2.service
}

# set_plugin SED: the website's own plugin changed by hand.
set_plugin() {
    sed -i "$1" /var/lib/wordpress/wp-content/mu-plugins/tameng.php
}

# set_clamd KEY VALUE: the engine's settings changed by hand.
set_clamd() {
    sed -i "s|^$1 .*|$1 $2|" /etc/tameng/antivirus/clamd.conf && systemctl restart tameng-antivirus.service
}

# break_signatures: they are fetched from where nothing is.
break_signatures() {
    sed -i '/^DatabaseCustomURL/d; $a DatabaseCustomURL file:///nonexistent/other.hsb' /etc/tameng/antivirus/freshclam.conf
    ! systemctl start tameng-antivirus-signatures.service
}

# fill_quarantine: it has no room for what is found.
fill_quarantine() {
    sed -i 's/"quarantine_max": .*[0-9]/"quarantine_max": 0/' /etc/tameng/antivirus/settings.json
    systemctl restart tameng-antivirus-quarantine.service && sleep 1
    python3 -c 'open("/srv/infected", "w").write("".join(["X5O!P%@AP[4\\PZX54(P^)", "7CC)7}$EICAR-STANDARD",
        "-ANTIVIRUS-TEST-FILE!$H+H*"]))'
    ! cat /srv/infected >/dev/null 2>&1
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        sleep 0.5
        ! grep -qs '"path": "/srv/infected"' /var/lib/tameng-antivirus/quarantine/*.json || return 0
    done
}

# blind_detection INTERFACE: nobody looks at it.
blind_detection() {
    sed -i "/interface: $1\$/,/ring-size/d" /etc/suricata/tameng/suricata.yaml
    systemctl restart tameng-detection.service
}

# drown_detection INTERFACE: more comes on it than a small buffer holds while nobody empties it.
drown_detection() {
    sed -i 's/ring-size: .*/ring-size: 64/' /etc/suricata/tameng/suricata.yaml
    systemctl restart tameng-detection.service && systemctl kill -s STOP tameng-detection.service || return
    python3 -c 'import socket, sys
out = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
for _ in range(20000): out.sendto(b"." * 1200, ("ff02::114", 9, 0, socket.if_nametoindex(sys.argv[1])))' "$1"
    systemctl kill -s CONT tameng-detection.service && sleep 3
}

# set_backup SED: what is saved, changed by hand.
set_backup() {
    sed -i "$1" /etc/tameng/backup/borgmatic.yaml
}

# set_backup_ssh SED: the way to the backup server changed by hand.
set_backup_ssh() {
    sed -i "$1" /etc/tameng/backup/ssh_config
}

# set_way_in CLIENT SED: what the client's key may do on the backup server changed by hand.
set_way_in() {
    sed -i "$2" "/srv/backup/$1/.ssh/authorized_keys"
}

# set_share SED: the shares' settings changed by hand, and taken up by the daemon.
set_share() {
    sed -i "$1" /etc/tameng/file_share/smb.conf && systemctl restart tameng-file-share.service
}

# add_account OPTION ... NAME: an account as nobody declared it. Healed, one of an earlier round may still stand there
# with another number or shell; one that is as bad as it was then can't be taken away, and this fails.
add_account() {
    for name; do :; done
    ! getent passwd "$name" >/dev/null || userdel "$name" || return
    useradd "$@"
}

# add_share_person NAME: somebody whom nobody declared has a password for the shares.
add_share_person() {
    { id "$1" || useradd --system --no-create-home --shell /usr/sbin/nologin "$1"; } >/dev/null 2>&1 &&
        printf 'rahasia-sekali\nrahasia-sekali\n' |
        smbpasswd -c /etc/tameng/file_share/smb.conf -s -a "$1"
}

# set_second_way SED: what a backup server's key may do at the second site changed by hand.
set_second_way() {
    sed -i "$1" /etc/tameng/second_site/authorized_keys
}

# with_key_of CLIENT WORD ...: borg as who has stolen the client's key and passphrase.
with_key_of() {
    client=$1
    shift
    cat >/run/forced <<FORCED
#!/bin/sh
exec runuser -u backup-$client -- sh -c '$(sed 's/^command="\([^"]*\)".*/\1/' "/srv/backup/$client/.ssh/authorized_keys")'
FORCED
    BORG_RSH="sh /run/forced" BORG_REPO="ssh://x/srv/backup/$client/repository" BORG_BASE_DIR=/run/thief \
        BORG_PASSPHRASE=$(age -d -i /etc/ssh/ssh_host_ed25519_key "/var/lib/tameng/backup/$client.age") borg "$@"
}

# delete_archives CLIENT [N]: its archives, or the first N of them, by its own key, once the server has seen them.
delete_archives() {
    systemctl start tameng-backup-watch.service
    with_key_of "$1" list --short ${2:+--first "$2"} >/run/doomed &&
        while read -r name; do
        with_key_of "$1" delete "::$name" </dev/null || return
    done </run/doomed
}

# age_records CLIENT KIND: as if nobody had restored its archives (restores), or copied them (copies, seconds), for years.
age_records() {
    python3 - "/var/lib/tameng/backup/$1.json" "$2" <<'END'
import json, sys
state = json.load(open(sys.argv[1]))
for one in state[sys.argv[2]]:
    one["kept"] = 1577880000  # 2020-01-01T12:00Z
json.dump(state, open(sys.argv[1], "w"))
END
}

# age_backup_check CLIENT: as if its repository had never been checked.
age_backup_check() {
    python3 - "/var/lib/tameng/backup/$1.json" <<'END'
import json, sys
state = json.load(open(sys.argv[1]))
state["check"]["at"] = 0
json.dump(state, open(sys.argv[1], "w"))
END
}

# reseal_escrow CLIENT: for the backup server alone, so that no holder opens it.
reseal_escrow() {
    sealed=$(age -d -i /etc/ssh/ssh_host_ed25519_key "/var/lib/tameng/backup/$1.age" |
        age -a -R /etc/ssh/ssh_host_ed25519_key.pub)
    python3 - "$1" "$sealed" <<'END'
import json, sys
file = "/etc/tameng/backup/server.json"
wanted = json.load(open(file))
wanted["clients"][sys.argv[1]]["escrow"] = sys.argv[2] + "\n"
json.dump(wanted, open(file, "w"))
END
}
