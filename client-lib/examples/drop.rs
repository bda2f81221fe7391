//! A drop: hands over every file put into a folder, then moves it aside.
//!
//! `cargo run -p plenary-client --example drop -- PROFILE CHANNEL FOLDER`, the passphrase on standard input.

use std::{fs, path::Path, time::Duration};

use plenary_client::{Client, SendFile};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [profile, channel, folder] = &arguments[..] else {
        return Err("usage: drop PROFILE CHANNEL FOLDER".into());
    };
    let passphrase = std::io::read_to_string(std::io::stdin())?
        .trim_end()
        .to_owned();

    let client = Client::builder(profile, passphrase.into()).open().await?;
    client.caught_up(Duration::from_secs(30)).await?;
    let channel = client.channel(channel).await?.id;
    let sent = Path::new(folder).join("sent");
    fs::create_dir_all(&sent)?;
    loop {
        for entry in fs::read_dir(folder)?.filter_map(Result::ok) {
            if entry.file_type()?.is_file() {
                let transfer = client
                    .send_file(channel, SendFile::new(entry.path()))
                    .await?;
                transfer.finish().await?.delivered().await?;
                fs::rename(entry.path(), sent.join(entry.file_name()))?;
                println!("sent {}", entry.path().display());
            }
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}
