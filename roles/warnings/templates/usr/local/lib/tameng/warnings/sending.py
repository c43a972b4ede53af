"""Tameng, role warnings: when a letter may go out, what it says, and how it goes."""

import time

from book import name
from events import GRADES

WORDS = {
    "login_refused": "Percobaan masuk SSH berulang kali ditolak",
    "web_login_refused": "Percobaan masuk ke situs web berulang kali ditolak",
    "login_guessed": "Berhasil masuk SSH setelah berulang kali ditolak",
    "sudo_refused": "Hak root diminta dan ditolak",
    "scan": "Pemindaian jaringan",
    "sweep": "Penyisiran mesin di jaringan",
    "guessing": "Percobaan masuk beruntun ke satu mesin",
    "tunnel": "Tanda terowongan DNS",
    "lateral": "Berbagi berkas atau desktop jarak jauh dicoba dari zona terisolasi",
    "flood": "Banjir sambungan ke satu alamat",
    "router": "Pengumuman router IPv6 palsu",
    "malware": "Berkas berbahaya ditemukan dan dikarantina",
    "malware_left": "Berkas berbahaya ditemukan, belum dapat dikarantina",
    "intrusion": "Pola serangan menurut aturan luar",
    "oddity": "Pola mencurigakan menurut aturan luar",
    "archives": "Arsip cadangan hilang atau bertanggal palsu",
    "archives_changed": "Isi cadangan berubah luar biasa (tanda ransomware)",
    "backup": "Cadangan terlambat, rusak, atau tidak dapat diperiksa",
    "insistence": "Sambungan yang sama terus-menerus ditolak",
    "spoofed": "Alamat pengirim palsu",
    "crowded": "Terlalu banyak sambungan dari satu alamat",
    "test": "Uji harian jalur peringatan",
}


def quiet_until(quiet, grade, at):
    """When a warning of this grade may go out: low ones wait for the end of the quiet hours."""
    if not quiet or GRADES.index(grade) >= GRADES.index(quiet["but_for"]):
        return at
    day = time.localtime(at)
    begins, ends = (clock(day, quiet[end]) for end in ("from", "to"))
    if begins <= ends:
        return ends if begins <= at < ends else at
    if at < ends:
        return ends
    return clock(day, quiet["to"], days=1) if at >= begins else at


def clock(day, hour, days=0):
    """Seconds since 1970 of an hour such as 21:30 on this day."""
    hours, minutes = map(int, hour.split(":"))
    return time.mktime((day.tm_year, day.tm_mon, day.tm_mday + days, hours, minutes, 0, 0, 0, -1))


def letter(court, warnings):
    """Title and text of one letter for all these warnings, the gravest first."""
    worst = sorted(warnings, key=lambda warning: -GRADES.index(warning["grade"]))
    first, more = worst[0], len(worst) - 1
    what = f"{WORDS[first['kind']]}: {first['subject']}"
    title = f"[{court}] {first['grade'].upper()}: {what}{f' (dan {more} lagi)' if more else ''}"
    return title, "\n\n".join(map(paragraph, worst))


def paragraph(warning):
    began, last = (
        time.strftime("%d-%m-%Y %H:%M:%S", time.localtime(warning[when]))
        for when in ("opened", "last")
    )
    zone = f" (zona {warning['zone']})" if warning["zone"] else ""
    return (
        f"{warning['grade'].upper()} - {WORDS[warning['kind']]}\n"
        f"Sumber: {warning['subject']}{zone}\n"
        f"Terlihat pada: {', '.join(warning['hosts'].split())}\n"
        f"Kejadian: {warning['count']}, {began} sampai {last} {time.strftime('%Z')}\n"
        f"Nomor: {name(warning)}"
    )


def send(address, title, text):
    """Empty when it went out, else why not."""
    import apprise  # noqa: PLC0415 - takes a second and 50 MB, on few days

    notifier = apprise.Apprise()
    if not notifier.add(address):
        return "the address is none that Apprise understands"
    with apprise.LogCapture(level=apprise.logging.INFO, fmt="%(message)s") as said:
        gone = notifier.notify(title=title, body=text, body_format=apprise.NotifyFormat.TEXT)
        return "" if gone else (said.getvalue().strip().splitlines() or ["refused"])[-1]
