"""The court's website: what it answers, what its account on the database may, what it can write."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from compliance.suite import Ask, Evidence, broken, control

Public = Callable[[str], Any]
Browse = Callable[..., dict[str, dict[str, Any]]]
UPLOADS = "/var/lib/wordpress/wp-content/uploads"
# Where its programs and settings lie.
PROGRAMS = "/etc/apache2 /etc/mysql /etc/php /etc/wordpress /usr/share/wordpress /var/lib/wordpress"
VERSION = "/usr/share/wordpress/wp-includes/version.php"
# What the website makes of all its settings, for whoever asks by its name. It only asks.
SETTINGS = """
$_SERVER["HTTP_HOST"] = $argv[1];
define("SHORTINIT", true);
require "/usr/share/wordpress/wp-load.php";
foreach (["DISALLOW_FILE_EDIT", "DISALLOW_FILE_MODS"] as $name)
    $told[$name] = defined($name) && constant($name);
echo json_encode($told);
"""
LOGIN = "/wp-login.php"
GUESS = "log=tameng-audit&pwd=wrong-on-purpose"
NOTED = "_SYSTEMD_UNIT=apache2.service SYSLOG_IDENTIFIER=tameng-website"


@control(
    "website_answers",
    sabotage="mariadb wordpress -e \"update wp_options set option_value = 'Diretas'"
    " where option_name = 'blogname'\"",
    says="calls itself Diretas",
)
def test_it_answers_in_its_own_name(browse: Browse, public: Public, evidence: Evidence) -> None:
    """Its first page is whole, and made from the database under the court's name."""
    told = browse("/")["/"]
    title = re.search(r"<title>(.*?)</title>", told["text"], re.DOTALL)
    evidence.measured("status", told["status"])
    evidence.measured("title", title[1] if title else None)
    evidence.measured("characters", len(told["text"]))
    assert told["status"] == 200, f"the first page answers {told['status']}"
    assert title, "the first page has no title"
    assert title[1].startswith(public("website_title")), f"the website calls itself {title[1]}"
    assert told["text"].rstrip().endswith("</html>"), "the first page is not whole"


@control(
    "website_database_local",
    sabotage="sed -i s/^skip-networking/#/ /etc/mysql/mariadb.conf.d/zz-tameng.cnf"
    " && systemctl restart mariadb.service",
    says="mariadbd listens",
    also=("services_sockets_declared",),
)
def test_the_database_is_nobody_elses(ask: Ask, evidence: Evidence) -> None:
    """It runs, and can't be asked over any network, not even the machine's own."""
    state = ask("systemctl is-active mariadb.service", exits=(0, 3, 4)).strip()
    sockets = [ln for ln in ask("ss -Htulpn").splitlines() if '"mariadbd"' in ln]
    evidence.measured("unit", state)
    evidence.measured("sockets", sockets)
    assert state == "active", f"mariadb.service is {state}"
    assert not sockets, f"mariadbd listens: {sockets[0].split()[4]}"


@control(
    "website_database_rights",
    sabotage="mariadb -e \"grant all on *.* to 'www-data'@localhost\"",
    says="the website may use the database mysql",
)
def test_the_website_has_its_own_database_only(ask: Ask, evidence: Evidence) -> None:
    """Asked by its own account, which comes in without a password."""
    said = ask("runuser -u www-data -- mariadb -N -B -e 'show databases'").split()
    evidence.measured("databases", said)
    strange = sorted(set(said) - {"information_schema", "wordpress"})
    assert not strange, f"the website may use the database {', '.join(strange)}"
    assert "wordpress" in said, "the website has no database"


@control(
    "website_no_xmlrpc",
    sabotage="set_website s/xmlrpc/xmlrp/",
    says="xmlrpc.php answers 200",
)
def test_there_is_one_way_to_log_in(browse: Browse, evidence: Evidence) -> None:
    """Over xmlrpc.php one request tries hundreds of passwords."""
    form = "<methodCall><methodName>system.listMethods</methodName></methodCall>"
    status = browse("/xmlrpc.php", method="POST", form=form)["/xmlrpc.php"]["status"]
    evidence.measured("status", status)
    assert status == 403, f"xmlrpc.php answers {status}"


@control(
    "website_no_file_editing",
    sabotage="sed -i /DISALLOW_FILE/d /etc/wordpress/config-default.php",
    says="can be changed through the website",
)
def test_programs_are_not_edited_through_it(ask: Ask, public: Public, evidence: Evidence) -> None:
    """As the website itself reads its settings."""
    run = "runuser -u www-data -- php -r %s -- %s"
    told = json.loads(ask(run, SETTINGS, public("web_server_name")))
    evidence.measured("settings", told)
    open_to = [name for name, refused in told.items() if not refused]
    assert not open_to, f"programs can be changed through the website (no {', '.join(open_to)})"


@control(
    "website_files_guarded",
    sabotage="chown www-data /var/lib/wordpress/wp-content/plugins",
    says="the web server may write /var/lib/wordpress/wp-content/plugins",
)
def test_the_web_server_writes_uploads_only(ask: Ask, evidence: Evidence) -> None:
    """Its account is asked what it could write."""
    tried = f"runuser -u www-data -- find {PROGRAMS} -xdev ! -type l -writable 2>/dev/null"
    writable = ask(tried, exits=(0, 1)).splitlines()
    evidence.measured("writable", writable[:50])
    others = [path for path in writable if path != UPLOADS and not path.startswith(f"{UPLOADS}/")]
    assert not others, f"the web server may write {', '.join(others[:5])}"
    assert UPLOADS in writable, "nobody can upload anything"


@control(
    "website_uploads_not_run",
    sabotage="set_website 's/(?i)/(?i)not/'",
    says="would be given out",
)
def test_uploads_are_not_run(browse: Browse, evidence: Evidence) -> None:
    """The running web server refuses such names, whether there is such a file or not."""
    names = ["a.php", "a.PHP", "a.phtml", "a.phar", "a.php5", "a.php.jpg"]
    told = browse(*(f"/wp-content/uploads/{name}" for name in names))
    answers = {path.rpartition("/")[2]: one["status"] for path, one in told.items()}
    evidence.measured("answers", answers)
    served = [name for name, status in answers.items() if status != 403]
    assert not served, f"a program among uploads would be given out or run: {', '.join(served)}"


@control(
    "website_secrets_closed",
    sabotage="chmod 0644 /etc/wordpress/tameng-keys.php",
    says="anybody may read /etc/wordpress/tameng-keys.php",
)
def test_its_secrets_are_closed(host: Any, ask: Ask, evidence: Evidence) -> None:
    """Somebody without rights tries to read its settings."""
    files = ask("find /etc/wordpress -name '*.php'").split()
    evidence.measured("files", files)
    assert files, "the website has no settings"
    for file in files:
        tried = host.run("runuser -u nobody -- head -c 1 %s", file)
        assert tried.rc != 0, f"anybody may read {file}"


@control(
    "website_logins_noted",
    sabotage="set_plugin /syslog/d",
    says="a wrong log-in leaves no trace",
)
def test_wrong_log_ins_are_noted(ask: Ask, browse: Browse, evidence: Evidence) -> None:
    """One is made, from the machine itself, which no jail ever bans; it must stand in the journal
    as the jail looks for it."""
    cursor = re.search(r"-- cursor: (\S+)", ask("journalctl -q -n 0 --show-cursor"))
    if not cursor:
        broken("the journal has no end")
    status = browse(LOGIN, method="POST", form=GUESS)[LOGIN]["status"]
    noted = ask(
        "for n in 1 2 3 4 5 6 7 8 9 10; do"
        f" journalctl -q --after-cursor=%s -o cat {NOTED} | grep . && break; sleep 0.5; done; true",
        cursor[1],
    ).splitlines()
    evidence.measured("status", status)
    evidence.measured("noted", noted)
    assert "wrong log-in from 127.0.0.1" in noted, "a wrong log-in leaves no trace in the journal"


@control(
    "website_no_version",
    sabotage="set_plugin /the_generator/d",
    says="tells the version",
)
def test_it_tells_nobody_its_version(ask: Ask, browse: Browse, evidence: Evidence) -> None:
    """Neither its pages nor the files beside them."""
    version = re.search(r"\$wp_version = '(.*)';", ask(f"cat {VERSION}"))
    if not version:
        broken(f"{VERSION} names no version")
    told = re.compile(rf"(ver=|WordPress[ /]?|\?v=){re.escape(version[1])}\b")
    pages = browse("/", "/?feed=rss2", LOGIN, "/readme.html")
    for path, page in pages.items():
        said = told.search(page["text"])
        evidence.measured(path, said[0] if said else None)
        assert not said, f"{path} tells the version: {said[0]}"
    readme = pages["/readme.html"]["status"]
    assert readme == 403, f"readme.html answers {readme}"


@control(
    "website_no_names",
    sabotage="set_plugin s#/wp/v2/users#/wp/v2/nobody#",
    says="strangers learn who may log in",
)
def test_it_tells_nobody_who_may_log_in(browse: Browse, evidence: Evidence) -> None:
    """Who knows the names has half of what he guesses."""
    for path, told in browse("/?rest_route=/wp/v2/users", "/?author=1").items():
        status = told["status"]
        evidence.measured(path, status)
        assert status == 404, f"strangers learn who may log in: {path} answers {status}"
