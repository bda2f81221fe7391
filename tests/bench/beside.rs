//! What people do without Plenary: `openssl enc`, curl, a web server with TLS.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use plenary_tests::harness::{cpu_of, cpu_of_children};

use super::{Both, Took};

const TOOLS: [(&str, &str); 3] = [
    ("openssl", "version"),
    ("curl", "--version"),
    ("nginx", "-v"),
];

/// What is not on this machine.
pub(crate) fn missing() -> Option<&'static str> {
    let there = |tool: &(&str, &str)| Command::new(tool.0).arg(tool.1).output().is_ok();
    TOOLS.iter().find(|tool| !there(tool)).map(|tool| tool.0)
}

/// An nginx that takes and gives files.
pub(crate) struct Others {
    folder: PathBuf,
    port: u16,
    nginx: Child,
}

impl Drop for Others {
    fn drop(&mut self) {
        let _ = self.nginx.kill();
        let _ = self.nginx.wait();
    }
}

impl Others {
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        for name in ["files", "body"] {
            fs::create_dir(folder.join(name))?;
        }
        fs::write(folder.join("key"), "a passphrase of the bench's own\n")?;
        shell(
            folder,
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
             -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout tls.key -out tls.pem",
        )?;
        let at = folder.display();
        let config = format!(
            "user root;\nworker_processes 1;\ndaemon off;\nmaster_process off;\npid {at}/pid;\n\
             error_log {at}/error.log;\nevents {{}}\nhttp {{\n access_log off;\n \
             client_max_body_size 0;\n client_body_temp_path {at}/body;\n \
             proxy_temp_path {at}/body;\n fastcgi_temp_path {at}/body;\n uwsgi_temp_path {at}/body;\n \
             scgi_temp_path {at}/body;\n sendfile on;\n server {{\n  listen 127.0.0.1:{port} ssl;\n  \
             ssl_protocols TLSv1.3;\n  ssl_certificate {at}/tls.pem;\n  ssl_certificate_key {at}/tls.key;\n  \
             root {at}/files;\n  location / {{ dav_methods PUT; }}\n }}\n}}\n"
        );
        fs::write(folder.join("nginx.conf"), config)?;
        let nginx = Command::new("nginx")
            .arg("-c")
            .arg(folder.join("nginx.conf"))
            .stderr(Stdio::null())
            .spawn()?;
        let others = Self {
            folder: folder.to_owned(),
            port,
            nginx,
        };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = fs::read_to_string(folder.join("error.log")).unwrap_or_default();
            ensure!(begun.elapsed() < Duration::from_secs(10), "nginx: {log}");
            std::thread::yield_now();
        }
        Ok(others)
    }

    /// Sealed while it is sent, opened while it is fetched: nothing lies on disk between.
    pub(crate) fn in_pipes(&self, file: &Path) -> Result<Both> {
        let (enc, curl, url) = self.words();
        let file = file.display();
        let up = self.timed(&format!("{enc} -in {file} | {curl} -T - {url}"))?;
        let down = self.timed(&format!("{curl} {url} | {enc} -d -out opened"))?;
        self.same(&file.to_string())?;
        Ok(Both { up, down })
    }

    /// One after the other, by files.
    pub(crate) fn in_steps(&self, file: &Path) -> Result<Both> {
        let (enc, curl, url) = self.words();
        let file = file.display();
        let up = self.timed(&format!(
            "{enc} -in {file} -out sealed && {curl} -T sealed {url}"
        ))?;
        let down = self.timed(&format!(
            "{curl} -o fetched {url} && {enc} -d -in fetched -out opened"
        ))?;
        self.same(&file.to_string())?;
        Ok(Both { up, down })
    }

    fn words(&self) -> (String, String, String) {
        // curl waits a second for "100 Continue" where it expects one.
        (
            "openssl enc -aes-256-ctr -pbkdf2 -pass file:key".to_owned(),
            "curl --silent --show-error --fail --cacert tls.pem -H Expect:".to_owned(),
            format!("https://127.0.0.1:{}/image", self.port),
        )
    }

    fn same(&self, file: &str) -> Result<()> {
        shell(&self.folder, &format!("cmp {file} opened"))?;
        for name in ["opened", "sealed", "fetched", "files/image"] {
            let _ = fs::remove_file(self.folder.join(name));
        }
        Ok(())
    }

    fn timed(&self, words: &str) -> Result<Took> {
        let nginx = self.nginx.id().to_string();
        let (begun, client, server) = (Instant::now(), cpu_of_children()?, cpu_of(&nginx)?);
        shell(&self.folder, words)?;
        Ok(Took {
            wall: begun.elapsed().as_secs_f64(),
            client: cpu_of_children()? - client,
            server: cpu_of(&nginx)? - server,
        })
    }
}

fn shell(folder: &Path, words: &str) -> Result<()> {
    let run = Command::new("sh")
        .args(["-c", words])
        .current_dir(folder)
        .output()
        .context("no shell")?;
    let said = String::from_utf8_lossy(&run.stderr);
    ensure!(run.status.success(), "{words}: {said}");
    Ok(())
}
