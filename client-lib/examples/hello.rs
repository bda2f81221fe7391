//! Enters a channel, says hello, prints what follows.
//!
//! `cargo run -p plenary-client --example hello -- PROFILE CHANNEL`, the passphrase on standard input.

use std::time::Duration;

use plenary_client::{Client, content::Draft};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(profile), Some(channel)) = (arguments.next(), arguments.next()) else {
        return Err("usage: hello PROFILE CHANNEL".into());
    };
    let passphrase = std::io::read_to_string(std::io::stdin())?
        .trim_end()
        .to_owned();

    let client = Client::builder(profile, passphrase.into()).open().await?;
    client.caught_up(Duration::from_secs(30)).await?;
    let channel = client.channel(&channel).await?.id;
    client.enter(channel).await?;
    client.entered(channel).await?;
    let place = client
        .send(channel, Draft::text("Hello."))
        .await?
        .delivered()
        .await?;
    println!("said hello at {}", place.0);

    let mut messages = client.consumer("hello", false).await?;
    while let Some(message) = messages.next().await? {
        let sender = message.sender.as_deref().unwrap_or("somebody");
        println!("{sender}: {}", message.text().unwrap_or("(no text)"));
        messages.ack(&message).await?;
    }
    Ok(())
}
