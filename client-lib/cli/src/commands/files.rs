//! Files: handed over, fetched.

use std::{ops::Range, path::Path, time::Duration};

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};
use plenary_client::{
    Client, Label, Outgoing, Progress, SendFile, Transfer,
    content::ThreadId,
    files::{Manifest, Preview},
    ids::{ChannelId, ItemId, Seq},
};
use serde_json::json;

use super::{
    audience::{before_sending, sent_to},
    custody::told,
    find::find,
    send::{allowed, delivered},
};
use crate::{
    args::{GetArgs, SendFileArgs, TermsArgs},
    exit::Failure,
    output::{Output, Style},
    session::{Context, Need},
};

/// Stands for standard input.
const PIPED: &str = "-";

/// Without a terminal a line is printed each time so many percent more are done.
const STEP: u64 = 10;

pub(super) async fn send(context: &Context, args: SendFileArgs) -> Result<(), Failure> {
    let session = context.session(Need::Online).await?;
    let channel = session.client.channel(&args.channel).await?;
    allowed(&channel, args.label)?;
    let readers = before_sending(context, &session.client, &channel, &args.audience).await?;
    session.client.limit_rate(args.rate.limit_rate);
    let supersedes = match &args.supersedes {
        Some(which) => Some(superseded(&session.client, channel.id, which).await?),
        None => None,
    };
    let (single, piped) = (args.files.len() == 1, |path: &Path| {
        path == Path::new(PIPED)
    });
    if (args.name.is_some() || supersedes.is_some()) && !single {
        return Err(Failure::usage(
            "--name and --supersedes are for a single file",
        ));
    }
    if matches!(args.preview, Some(Some(_))) && !single {
        return Err(Failure::usage("--preview=FILE is for a single file"));
    }
    if args.name.is_none() && args.files.iter().any(|path| piped(path)) {
        return Err(Failure::usage(
            "what comes from standard input needs a --name",
        ));
    }
    for path in &args.files {
        let mut file = SendFile::new(path).media_type(&args.media_type);
        if args.malware {
            file = file.malware();
        }
        if let Some(name) = &args.name {
            file = file.name(name);
        }
        if let Some(item) = supersedes {
            file = file.supersedes(item);
        }
        if let Some(from) = &args.preview {
            file = file.preview(preview(path, from.as_deref())?);
        }
        file = under(file, &session.client, channel.id, &args.terms).await?;
        let thread = args.thread.as_deref();
        let file = marked(file, channel.id, args.label, thread);
        hand_over(context, &session.client, channel.id, path, file).await?;
        sent_to(&session.client, &channel, readers.as_ref()).await?;
    }
    told(context, &session.client).await?;
    session.finish().await
}

/// What is shown of the file at this path: somebody's own making, or the first lines of a text.
fn preview(path: &Path, from: Option<&Path>) -> Result<Preview, Failure> {
    let (of, made) = match from {
        Some(from) => (from, Preview::from_file(from)),
        None if path == Path::new(PIPED) || path.is_dir() => {
            return Err(Failure::usage(
                "a folder and standard input have no first lines to show: --preview=FILE",
            ));
        }
        None => (path, Preview::first_lines(path)),
    };
    made.map_err(|error| Failure::usage(format!("{}: {error}", of.display())))
}

/// The file under the terms that the server keeps it by.
async fn under(
    mut file: SendFile,
    client: &Client,
    channel: ChannelId,
    terms: &TermsArgs,
) -> Result<SendFile, Failure> {
    if let Some(until) = terms.keep {
        file = file.keep_until(until);
    }
    if let Some(collectors) = terms.purge_after {
        file = file.purge_after(collectors);
    }
    if terms.purge_when_collected {
        let audience = client.audience(channel).await?.members;
        let others = audience.into_iter().map(|member| member.id);
        file = file.purge_when_collected(others.filter(|id| *id != client.member()));
    }
    Ok(file)
}

/// The item that a message handed over.
async fn superseded(client: &Client, channel: ChannelId, which: &str) -> Result<ItemId, Failure> {
    let message = find(client, channel, which).await?;
    let item = message.item()?.map(|item| item.item());
    item.ok_or_else(|| Failure::not_found(format!("message #{} hands over no file", message.seq.0)))
}

/// The file under a label and in the thread of a title.
pub(super) fn marked(
    mut file: SendFile,
    channel: ChannelId,
    label: Option<Label>,
    thread: Option<&str>,
) -> SendFile {
    if let Some(label) = label {
        file = file.label(label);
    }
    if let Some(title) = thread {
        file = file.thread(ThreadId::of_title(channel, title)).title(title);
    }
    file
}

/// Hands a file over, shows how far it is, and waits until the message is in the log.
pub(super) async fn hand_over(
    context: &Context,
    client: &Client,
    channel: ChannelId,
    path: &Path,
    file: SendFile,
) -> Result<(), Failure> {
    let transfer = if path == Path::new(PIPED) {
        client.send_reader(channel, file, std::io::stdin()).await?
    } else if path.is_dir() {
        client.send_folder(channel, file).await?
    } else {
        client.send_file(channel, file).await?
    };
    let name = path.display().to_string();
    handed_over(context, client, channel, &name, transfer).await
}

/// Shows an upload to its end, and waits until the message is in the log.
pub(super) async fn handed_over(
    context: &Context,
    client: &Client,
    channel: ChannelId,
    name: &str,
    transfer: Transfer<Outgoing>,
) -> Result<(), Failure> {
    let outgoing = watch(context, name, transfer).await?;
    let seq = delivered(context, &outgoing).await?;
    // The log's copy tells the digest that everybody sees.
    let after = Seq(seq.0.saturating_sub(1));
    let sent = client.messages(channel, after, 1).await?;
    let sent = sent.into_iter().next().map(|message| message.item());
    let item = sent.transpose()?.flatten().ok_or_else(|| {
        Failure::not_found(format!("{name} was handed over, but is not read back"))
    })?;
    let id = outgoing.id().to_string();
    context.out.emit(
        || {
            json!({
                "id": id,
                "channel": channel.to_string(),
                "state": "delivered",
                "seq": seq.0,
                "file": name,
                "item": item.item().to_string(),
                "size": item.size(),
                "sha256": item.sha256().to_string(),
            })
        },
        |line| {
            line.add(Style::Good, "delivered")
                .plain(&format!(" #{}  ", seq.0))
                .plain(&summary(name, &item))
        },
    )
}

pub(super) async fn get(context: &Context, args: GetArgs) -> Result<(), Failure> {
    if args.preview {
        return look(context, &args).await;
    }
    let session = context.session(Need::Fresh).await?;
    // The message may be held already; whether the file can be fetched is told by the transfer.
    if let Some(failure) = session.stale {
        return Err(failure);
    }
    let channel = session.client.channel(&args.channel).await?;
    session.client.limit_rate(args.rate.limit_rate);
    if args.stdout || args.range.is_some() {
        let range = args.range.clone().unwrap_or(0..u64::MAX);
        pour(context, &session.client, channel.id, &args.message, range).await?;
        told(context, &session.client).await?;
        return session.finish().await;
    }
    fetch(
        context,
        &session.client,
        channel.id,
        &args.message,
        &args.into,
        args.unpack,
    )
    .await?;
    told(context, &session.client).await?;
    session.finish().await
}

/// Shows what came with the message; the file itself is not fetched.
async fn look(context: &Context, args: &GetArgs) -> Result<(), Failure> {
    let session = context.session(Need::Fresh).await?;
    let channel = session.client.channel(&args.channel).await?;
    let message = find(&session.client, channel.id, &args.message).await?;
    let item = message.item()?;
    let shown = item.as_ref().and_then(|item| Some((item, item.preview()?)));
    let (item, preview) = shown.ok_or_else(|| {
        Failure::not_found(format!("no preview came with message #{}", message.seq.0))
    })?;
    let path = match preview.text() {
        Some(_) => None,
        None => {
            std::fs::create_dir_all(&args.into)
                .map_err(|error| Failure::io(&args.into.display().to_string(), &error))?;
            let path = preview.save(&args.into, item.name());
            let path = path.map_err(plenary_client::Error::from)?;
            Some(path.display().to_string())
        }
    };
    context.out.emit(
        || {
            json!({
                "item": item.item().to_string(),
                "media_type": preview.kind().media_type(),
                "text": preview.text(),
                "path": path,
            })
        },
        |line| match (preview.text(), &path) {
            (Some(text), _) => line.block(text),
            (None, path) => line.plain(path.as_deref().unwrap_or_default()),
        },
    )?;
    session.finish().await
}

/// Fetches the file that a message hands over into a folder.
pub(super) async fn fetch(
    context: &Context,
    client: &Client,
    channel: ChannelId,
    which: &str,
    into: &Path,
    unpack: bool,
) -> Result<(), Failure> {
    let message = find(client, channel, which).await?;
    let item = message.item()?.ok_or_else(|| {
        Failure::not_found(format!("message #{} hands over no file", message.seq.0))
    })?;
    std::fs::create_dir_all(into)
        .map_err(|error| Failure::io(&into.display().to_string(), &error))?;
    let transfer = match unpack {
        true => client.fetch_folder(&message, into)?,
        false => client.fetch(&message, into)?,
    };
    let path = watch(context, item.name(), transfer).await?;
    let path = path.display().to_string();
    context.out.emit(
        || {
            json!({
                "path": path,
                "name": item.name(),
                "item": item.item().to_string(),
                "size": item.size(),
                "media_type": item.media_type(),
                "sha256": item.sha256().to_string(),
                "malware": item.carries_malware(),
            })
        },
        |line| {
            line.add(Style::Good, "verified")
                .plain("  ")
                .plain(&summary(&path, &item))
        },
    )?;
    if item.carries_malware() {
        context.out.note(
            "The sender says that it CARRIES MALWARE. It stays sealed; `plenary export-sample` \
             writes it in the clear.",
        );
    }
    Ok(())
}

/// Writes bytes of a file to standard output; what is said goes to standard error.
async fn pour(
    context: &Context,
    client: &Client,
    channel: ChannelId,
    which: &str,
    range: Range<u64>,
) -> Result<(), Failure> {
    let message = find(client, channel, which).await?;
    let item = message.item()?.ok_or_else(|| {
        Failure::not_found(format!("message #{} hands over no file", message.seq.0))
    })?;
    let transfer = client.fetch_range(&message, range, std::io::stdout())?;
    watch(context, item.name(), transfer).await
}

fn summary(name: &str, item: &Manifest) -> String {
    format!(
        "{name} ({})  sha256 {}",
        HumanBytes(item.size()),
        item.sha256()
    )
}

/// Shows a transfer to its end. It stops if nothing moves for as long as the user is patient.
pub(super) async fn watch<T: Send + 'static>(
    context: &Context,
    name: &str,
    mut transfer: Transfer<T>,
) -> Result<T, Failure> {
    let mut shown = Shown::new(&context.out, name, transfer.progress());
    loop {
        let progress = transfer.progress();
        shown.update(&context.out, name, progress);
        // Once all is there the other side checks and files it: that takes what it takes.
        let patience = if progress.done < progress.total {
            context.patience()
        } else {
            Duration::MAX
        };
        match tokio::time::timeout(patience, transfer.moved()).await {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(_) => {
                return Err(Failure::offline(format!(
                    "{name}: nothing moved for {} s; give the same command again to go on",
                    patience.as_secs()
                )));
            }
        }
    }
    let done = transfer.finish().await?;
    shown.clear();
    Ok(done)
}

/// How far it is: a bar on a terminal, now and then a line otherwise.
enum Shown {
    Bar(ProgressBar),
    /// Percent told last.
    Lines(u64),
}

impl Shown {
    fn new(out: &Output, name: &str, progress: Progress) -> Self {
        if !out.is_watched() {
            return Self::Lines(0);
        }
        let bar = ProgressBar::new(progress.total).with_message(crate::clean::line(name));
        let template = "{msg} [{bar:30}] {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self::Bar(bar)
    }

    fn update(&mut self, out: &Output, name: &str, progress: Progress) {
        match self {
            Self::Bar(bar) => bar.set_position(progress.done),
            Self::Lines(told) => {
                let percent = percent(progress);
                if percent >= *told + STEP {
                    *told = percent - percent % STEP;
                    let speed = HumanBytes(progress.speed);
                    let left = progress.left().map(HumanDuration);
                    let left = left.map_or(String::new(), |left| format!(", {left} left"));
                    out.note(&format!("{name}: {percent} % ({speed}/s{left})"));
                }
            }
        }
    }

    fn clear(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn percent(progress: Progress) -> u64 {
    let part = u128::from(progress.done) * 100 / u128::from(progress.total.max(1));
    u64::try_from(part).unwrap_or(100)
}
