//! Asking a time-stamping service (RFC 3161): over HTTP, once for each statement of custody.
//!
//! Nothing waits long for it: after [`PATIENCE`] a statement goes out without a stamp, and a service
//! that did not answer is left alone for [`REST`].

use std::time::Duration;

use minicbor::{Decode, Encode};
use plenary_certs::custody::{Authorities, MAX_STAMP, stamp_reply, stamp_request};
use plenary_proto::ids::{ChannelId, Digest};
use reqwest::{Url, header, redirect::Policy};
use tokio::{sync::broadcast, time::Instant};

use super::{Client, profile::random_bytes};
use crate::{
    engine::{Engine, Event, SERVICE, ToStamp},
    error::{Error, ErrorKind},
    net::driver::WeakDriver,
};

/// For all statements that wait together.
const PATIENCE: Duration = Duration::from_secs(8);
const CONNECT: Duration = Duration::from_secs(3);
const REST: Duration = Duration::from_secs(60);

/// Which service stamps what this profile states.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
#[non_exhaustive]
pub struct TimeStamping {
    /// `http://` or `https://`. Tokens are signed: without TLS nobody can forge one, but whoever
    /// listens sees that something was stamped.
    #[n(0)]
    pub url: String,
    /// Certificates (PEM) of the authorities that vouch for the service: with them a token that leads
    /// elsewhere is not taken, and bundles carry them.
    #[n(1)]
    pub authorities: Option<String>,
    /// Certificates (PEM) that an `https://` address must lead to, of a private authority; without
    /// them, this system's.
    #[n(2)]
    pub https_authorities: Option<String>,
}

impl TimeStamping {
    /// By the service at this address.
    pub fn by(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            authorities: None,
            https_authorities: None,
        }
    }

    /// Vouched for by these certificates (PEM).
    pub fn authorities(mut self, pem: impl Into<String>) -> Self {
        self.authorities = Some(pem.into());
        self
    }

    /// Reached over `https://` by these certificates (PEM) alone: for a service within an organisation.
    pub fn https_authorities(mut self, pem: impl Into<String>) -> Self {
        self.https_authorities = Some(pem.into());
        self
    }

    /// Whom the address must lead to.
    fn https(&self) -> Result<Option<Vec<reqwest::Certificate>>, Error> {
        let Some(pem) = &self.https_authorities else {
            return Ok(None);
        };
        let wrong = |why: String| {
            let what = format!("the certificates for the time-stamping service's address: {why}");
            Error::new(ErrorKind::Input, what)
        };
        if !self.url.starts_with("https://") {
            return Err(wrong("the address is not https://".to_owned()));
        }
        match reqwest::Certificate::from_pem_bundle(pem.as_bytes()) {
            Ok(certificates) if certificates.is_empty() => Err(wrong("there is none".to_owned())),
            Ok(certificates) => Ok(Some(certificates)),
            Err(error) => Err(wrong(error.to_string())),
        }
    }

    fn check(&self) -> Result<(Url, Option<Authorities>), Error> {
        let input = |what: String| Error::new(ErrorKind::Input, what);
        let url = Url::parse(&self.url)
            .map_err(|error| input(format!("the time-stamping service's address: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            let what = "a time-stamping service is asked over http or https, not anything else";
            return Err(input(what.to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            let what = "no name or password in a time-stamping service's address: they would be \
                        sent to whoever answers there";
            return Err(input(what.to_owned()));
        }
        self.https()?;
        let authorities = self.authorities.as_deref().map(|pem| {
            Authorities::from_pem(pem.as_bytes())
                .map_err(|error| input(format!("the authorities' certificates: {error}")))
        });
        Ok((url, authorities.transpose()?))
    }
}

impl Client {
    /// Has every statement of custody of this profile stamped by a service from now on, or no
    /// longer. Kept in the profile. If the service cannot be reached, statements go out without a
    /// stamp ([`Event::NotStamped`]).
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for an address or a certificate that is none.
    pub async fn set_time_stamping(&self, service: Option<TimeStamping>) -> Result<(), Error> {
        if let Some(service) = &service {
            service.check()?;
        }
        self.driver
            .run(move |engine, _| {
                let bytes = service.as_ref().map(minicbor::to_vec);
                let bytes = bytes.transpose();
                let bytes =
                    bytes.map_err(|error| Error::new(ErrorKind::Input, error.to_string()))?;
                engine
                    .store()
                    .put_meta(SERVICE, &bytes.unwrap_or_default())?;
                engine.want_stamps(service.is_some());
                Ok(())
            })
            .await
    }

    /// The service that stamps what this profile states, if one is set.
    ///
    /// # Errors
    /// [`ErrorKind::Store`].
    pub async fn time_stamping(&self) -> Result<Option<TimeStamping>, Error> {
        self.driver.run(|engine, _| service(engine)).await
    }
}

fn service(engine: &Engine) -> Result<Option<TimeStamping>, Error> {
    let bytes = engine.store().meta(SERVICE)?.unwrap_or_default();
    if bytes.is_empty() {
        return Ok(None);
    }
    minicbor::decode(&bytes).map(Some).map_err(|error| {
        let what = format!("the kept time-stamping service: {error}");
        Error::new(ErrorKind::Store, what)
    })
}

/// Attends to what waits to be stamped, until the client is closed.
pub(super) async fn attend(driver: WeakDriver, mut events: broadcast::Receiver<Event>) {
    let mut rests = None;
    loop {
        let channels = match events.recv().await {
            Ok(Event::Stamping(channel)) => Some(vec![channel]),
            Ok(_) => continue,
            Err(broadcast::error::RecvError::Lagged(_)) => None,
            Err(broadcast::error::RecvError::Closed) => return,
        };
        let done = stamp_all(&driver, channels, &mut rests).await;
        if let Err(error) = done {
            tracing::warn!(%error, "statements of custody are not stamped");
        }
    }
}

/// Holds the driver never while it asks: whoever drops the last client does not wait for a service.
async fn stamp_all(
    driver: &WeakDriver,
    channels: Option<Vec<ChannelId>>,
    rests: &mut Option<(Instant, TimeStamping)>,
) -> Result<(), Error> {
    let channels = match channels {
        Some(channels) => channels,
        None => driver.run(|engine, _| Ok(engine.unstamped())).await?,
    };
    for channel in channels {
        let waiting = driver
            .run(move |engine, _| Ok(engine.to_stamp(channel)))
            .await?;
        let mut tokens = Vec::new();
        let trouble = match driver.run(|engine, _| service(engine)).await? {
            None => None,
            Some(service) if resting(rests, &service) => {
                Some("the time-stamping service failed a short while ago".to_owned())
            }
            Some(service) => {
                let asked = ask_for_all(&service, &waiting, &mut tokens);
                let asked = tokio::time::timeout(PATIENCE, asked).await;
                let late = "the time-stamping service did not answer in time";
                let trouble = asked.unwrap_or_else(|_| Err(late.to_owned())).err();
                let until = Instant::now() + REST;
                *rests = trouble.as_ref().map(|_| (until, service));
                trouble
            }
        };
        driver
            .run(move |engine, now| engine.stamped(now, channel, &tokens, trouble))
            .await?;
    }
    Ok(())
}

/// Whether this service failed a short while ago.
fn resting(rests: &Option<(Instant, TimeStamping)>, service: &TimeStamping) -> bool {
    rests
        .as_ref()
        .is_some_and(|(until, which)| which == service && Instant::now() < *until)
}

/// Why not all are stamped, in words.
async fn ask_for_all(
    service: &TimeStamping,
    waiting: &[ToStamp],
    tokens: &mut Vec<(Digest, Vec<u8>)>,
) -> Result<(), String> {
    let (url, authorities) = service.check().map_err(|error| error.to_string())?;
    let mut http = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        // An address elsewhere is for the user to set.
        .redirect(Policy::none());
    if let Some(certificates) = service.https().map_err(|error| error.to_string())? {
        http = http.tls_certs_only(certificates);
    }
    let http = http.build().map_err(|error| why(&error))?;
    for one in waiting {
        let token = ask(&http, &url, &one.digest, authorities.as_ref()).await?;
        tokens.push((one.statement, token));
    }
    Ok(())
}

async fn ask(
    http: &reqwest::Client,
    url: &Url,
    digest: &Digest,
    authorities: Option<&Authorities>,
) -> Result<Vec<u8>, String> {
    let random = ring::rand::SystemRandom::new();
    let nonce = random_bytes(&random).map_err(|error| error.to_string())?;
    let nonce = u64::from_be_bytes(nonce);
    let request = stamp_request(digest, nonce).map_err(|error| error.to_string())?;
    let mut response = http
        .post(url.clone())
        .header(header::CONTENT_TYPE, "application/timestamp-query")
        .body(request)
        .send()
        .await
        .map_err(|error| why(&error))?;
    if !response.status().is_success() {
        return Err(format!(
            "the time-stamping service answered {}",
            response.status()
        ));
    }
    let mut reply = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|error| why(&error))? {
        if reply.len() + part.len() > 2 * MAX_STAMP {
            return Err("the time-stamping service answered too much".to_owned());
        }
        reply.extend_from_slice(&part);
    }
    stamp_reply(&reply, digest, nonce, authorities)
        .map(|(token, _)| token)
        .map_err(|error| format!("the time-stamping service's answer: {error}"))
}

/// With its causes: "error sending request" alone helps nobody.
fn why(error: &reqwest::Error) -> String {
    let mut what = "the time-stamping service cannot be reached: ".to_owned();
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    what.push_str(&cause.to_string());
    what
}
