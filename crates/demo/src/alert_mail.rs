//! A mail server for `demo alerts` that accepts every message and logs its subject and links.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Size limit of one connection's input; a mail with a thousand alerts is smaller.
const MAX_INPUT: u64 = 4 << 20;
/// The limit of open connections; clients beyond it wait.
const MAX_CONNECTIONS: usize = 16;
/// The time limit of a connection.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after a failed accept, for example without free file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Accepts mail until the process is stopped.
pub(crate) async fn run(listener: TcpListener) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let connection = match listener.accept().await {
            Ok((connection, _)) => connection,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a mail connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        tokio::spawn(async move {
            match tokio::time::timeout(TIMEOUT, receive(connection)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "mail connection failed"),
                Err(_) => tracing::warn!("mail connection took longer than {TIMEOUT:?}"),
            }
            drop(slot);
        });
    }
}

/// Speaks SMTP with one client.
async fn receive(connection: TcpStream) -> Result<()> {
    let (input, mut output) = connection.into_split();
    let mut lines = BufReader::new(input.take(MAX_INPUT)).lines();
    output.write_all(b"220 demo\r\n").await?;
    let mut mail: Option<String> = None;
    while let Some(line) = lines.next_line().await? {
        let reply: &[u8] = match &mut mail {
            Some(text) if line == "." => {
                log_mail(text);
                mail = None;
                b"250 accepted\r\n"
            }
            Some(text) => {
                *text += &line;
                text.push('\n');
                continue;
            }
            None if line.eq_ignore_ascii_case("DATA") => {
                mail = Some(String::new());
                b"354 end with a line that is only a period\r\n"
            }
            None if line.eq_ignore_ascii_case("QUIT") => {
                output.write_all(b"221 closing\r\n").await?;
                return Ok(());
            }
            None => b"250 demo\r\n",
        };
        output.write_all(reply).await?;
    }
    Ok(())
}

/// Logs the subject and the links of a message.
fn log_mail(text: &str) {
    let subject = text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or_default();
    // quoted-printable
    let body = text.replace("=\n", "").replace("=3D", "=");
    let links = body.split(|c: char| c.is_whitespace() || "\"<>".contains(c)).filter(|word| word.starts_with("http"));
    let links: Vec<_> = links.collect::<BTreeSet<_>>().into_iter().collect();
    tracing::info!(subject, links = links.join(" "), "mail");
}
