// One job per run: HOST PORT USER PASSWORD clear|BEGIN:VERSION JOB ARGUMENT...
const fs = require("fs");
const { Client } = require("basic-ftp");

const jobs = {
  async list(ftp, directory) {
    for (const entry of await ftp.list(directory)) console.log(entry.name);
  },
  download: (ftp, remote, local) => ftp.downloadTo(local, remote),
  upload: (ftp, remote, local) => ftp.uploadFrom(local, remote),
  resumeDownload: (ftp, remote, local) => ftp.downloadTo(local, remote, fs.statSync(local).size),
  async resumeUpload(ftp, remote, local) {
    await ftp.appendFrom(local, remote, { localStart: await ftp.size(remote) });
  },
  rename: (ftp, from, to) => ftp.rename(from, to),
  remove: (ftp, file) => ftp.remove(file),
  makeDirectory: (ftp, directory) => ftp.send(`MKD ${directory}`),
  mirrorDown: (ftp, remote, local) => ftp.downloadToDir(local, remote),
  mirrorUp: (ftp, remote, local) => ftp.uploadFromDir(local, remote),
};

async function main() {
  const [host, port, user, password, protection, job, ...words] = process.argv.slice(1);
  const [begin, version] = protection.split(":");
  const ftp = new Client(240000);
  await ftp.access({
    host,
    port: Number(port),
    user,
    password,
    secure: { clear: false, explicit: true, implicit: "implicit" }[begin],
    secureOptions: { rejectUnauthorized: false, minVersion: version, maxVersion: version },
  });
  await jobs[job](ftp, ...words);
  ftp.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
