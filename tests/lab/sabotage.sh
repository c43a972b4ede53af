# Functions that break one thing on a lab host; the words of @control(..., sabotage="...").
# Sent to the host before the line itself, as root. Every one of them must be healed by its role.

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

# drop_rule WORDS: delete the loaded rules whose text has these words.
drop_rule() {
    for handle in $(nft -a list chain inet tameng input | grep -F -- "$1" | sed 's/.*# handle //'); do
        nft delete rule inet tameng input handle "$handle"
    done
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

# rival_clock UNIT: a unit that stands for a second time daemon (it only sleeps).
rival_clock() {
    systemctl unmask -q "$1"
    printf '[Service]\nExecStart=/bin/sleep infinity\n' >"/run/systemd/system/$1"
    systemctl daemon-reload && systemctl start "$1"
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
    /usr/local/lib/tameng/integrity accept lab && sh -c "$1" && systemctl start dailyaidecheck.service
}

# aide_first RULE: somebody else's rule of AIDE before ours.
aide_first() {
    sed -i "1i $1" /etc/aide/aide.conf
}

# age_last_check: as if the files had not been checked for years.
age_last_check() {
    sed -i 's/"checked": "[0-9-]*T/"checked": "2020-01-01T/' /var/lib/tameng/integrity.json
}
