//! A bot: answers every "ping" in the channels it is in, each once, across restarts.
//!
//! `cargo run -p plenary-client --example bot -- PROFILE`, the passphrase on standard input.

use plenary_client::{Client, content::Draft};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let profile = std::env::args().nth(1).ok_or("usage: bot PROFILE")?;
    let passphrase = std::io::read_to_string(std::io::stdin())?
        .trim_end()
        .to_owned();

    let client = Client::builder(profile, passphrase.into()).open().await?;
    let mut messages = client.consumer("bot", false).await?;
    while let Some(message) = messages.next().await? {
        if message.member != client.member() && message.text() == Some("ping") {
            let mut answer = Draft::text("pong").reply_to(message.message_id);
            if let Some(thread) = message.thread() {
                answer = answer.thread(thread);
            }
            // On disk before the ping is acknowledged: a crash answers twice rather than never.
            client.send(message.channel, answer).await?;
        }
        messages.ack(&message).await?;
    }
    Ok(())
}
