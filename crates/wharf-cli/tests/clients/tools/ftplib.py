"""One job per run: HOST PORT USER PASSWORD passive|active clear|BEGIN:VERSION:PROT JOB ARGUMENT..."""

import os
import ssl
import sys
from ftplib import FTP, FTP_TLS


class Protected(FTP_TLS):
    """Its data connections resume the session of the control connection, which ftplib alone does not do."""

    implicit = False

    def connect(self, host, port):
        if not self.implicit:
            return super().connect(host, port)
        welcome, self.getresp = self.getresp, lambda: ""
        FTP.connect(self, host, port)
        self.getresp = welcome
        self.sock = self.context.wrap_socket(self.sock, server_hostname=host)
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()
        return self.welcome

    def ntransfercmd(self, cmd, rest=None):
        connection, size = FTP.ntransfercmd(self, cmd, rest)
        if self._prot_p:
            connection = self.context.wrap_socket(
                connection, server_hostname=self.host, session=self.sock.session
            )
        return connection, size


def client(protection):
    options = {"timeout": 240, "encoding": "latin-1"}
    if protection == "clear":
        return FTP(**options)
    begin, version, _ = protection.split(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    ftp = Protected(context=context, **options)
    ftp.implicit = begin == "implicit"
    return ftp


def list_names(ftp, directory):
    listed = ftp.nlst(directory)
    described = [name for name, facts in ftp.mlsd(directory) if facts["type"] != "cdir"]
    assert sorted(listed) == sorted(described), (listed, described)
    print(*listed, sep="\n")


def download(ftp, remote, local):
    with open(local, "wb") as file:
        ftp.retrbinary(f"RETR {remote}", file.write)


def upload(ftp, remote, local):
    with open(local, "rb") as file:
        ftp.storbinary(f"STOR {remote}", file)


def resume_download(ftp, remote, local):
    with open(local, "ab") as file:
        ftp.retrbinary(f"RETR {remote}", file.write, rest=file.tell())


def resume_upload(ftp, remote, local):
    ftp.voidcmd("TYPE I")
    done = ftp.size(remote)
    with open(local, "rb") as file:
        file.seek(done)
        ftp.storbinary(f"STOR {remote}", file, rest=done)


def download_fifty(ftp, remote, local):
    for number in range(50):
        download(ftp, f"{remote}/file-{number}", os.path.join(local, f"file-{number}"))


def upload_fifty(ftp, remote, local):
    for number in range(50):
        upload(ftp, f"{remote}/file-{number}", os.path.join(local, f"file-{number}"))


JOBS = {
    "download_fifty": download_fifty,
    "upload_fifty": upload_fifty,
    "list": list_names,
    "download": download,
    "upload": upload,
    "resume_download": resume_download,
    "resume_upload": resume_upload,
    "rename": FTP.rename,
    "delete": FTP.delete,
    "make_directory": FTP.mkd,
}


def main():
    host, port, user, password, mode, protection, job, *arguments = sys.argv[1:]
    # Latin-1 carries every byte of a name through unchanged.
    names = [os.fsencode(argument).decode("latin-1") for argument in arguments[:2]]
    if "load" in job:
        names[1] = arguments[1]
    sys.stdout.reconfigure(encoding="latin-1")
    with client(protection) as ftp:
        ftp.connect(host, int(port))
        ftp.login(user, password)
        if protection.endswith(":P"):
            ftp.prot_p()
        elif protection.endswith(":C"):
            ftp.voidcmd("PBSZ 0")
            ftp.prot_c()
        ftp.set_pasv(mode == "passive")
        JOBS[job](ftp, *names)


main()
