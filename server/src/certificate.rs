//! The certificate in service: made or read, renewed in time, and told of before it ends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plenary_certs::tls::{Identity, RENEW_AFTER, Reloadable};
use plenary_proto::ids::UnixMillis;
use tracing::{error, info, warn};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::admin::{Certificate, Certificates};
use crate::config::Config;
use crate::folder::Folder;

const DAY_SECONDS: i64 = 24 * 3600;
/// Days before its end at which the log tells of it, once each.
const WARNINGS: [i64; 3] = [21, 7, 1];

/// Keeps what is served.
#[derive(Debug)]
pub struct Keeper {
    folder: Arc<Folder>,
    served: Arc<Reloadable>,
    now: Mutex<Now>,
}

#[derive(Debug)]
struct Now {
    identity: Identity,
    since: UnixMillis,
    own: bool,
    /// The smallest of [`WARNINGS`] that was told.
    told: Option<i64>,
}

impl Keeper {
    /// Makes or reads the first one.
    ///
    /// # Errors
    /// Files that cannot be served.
    pub fn start(config: &Config, folder: Arc<Folder>, now: UnixMillis) -> anyhow::Result<Self> {
        let (identity, own) = load(config, &folder, now)?;
        Ok(Self {
            folder,
            served: Reloadable::new(identity.clone()),
            now: Mutex::new(Now {
                identity,
                since: now,
                own,
                told: None,
            }),
        })
    }

    /// What handshakes take it from.
    pub fn served(&self) -> Arc<Reloadable> {
        self.served.clone()
    }

    /// Serves another one from the next handshake on; connections that stand keep theirs.
    ///
    /// # Errors
    /// Files that cannot be served: the old one stays.
    pub fn renew(&self, config: &Config, now: UnixMillis) -> anyhow::Result<()> {
        let (identity, own) = load(config, &self.folder, now)?;
        if identity.pin() != self.served.pin() {
            warn!("the certificate has another CA: members need its pin to come back");
        }
        self.served.replace(identity.clone());
        *self.lock() = Now {
            identity,
            since: now,
            own,
            told: None,
        };
        info!("serving a new certificate");
        Ok(())
    }

    /// Renews our own in time; warns of the end of one that somebody else must renew.
    pub fn look(&self, config: &Config, now: UnixMillis) {
        let (own, age) = {
            let state = self.lock();
            let age = Duration::from_millis(now.0.saturating_sub(state.since.0));
            (state.own, age)
        };
        if own
            && age >= RENEW_AFTER
            && let Err(error) = self.renew(config, now)
        {
            error!(%error, "the certificate stays the old one");
        }
        let days = self.days_left(now);
        let mut state = self.lock();
        if let Some(due) = warning(days, state.told) {
            state.told = Some(due);
            let what = "the TLS certificate ends: put a new one in its place, then `plenary-server admin reload`";
            match due {
                1 => error!(days, "{what}"),
                _ => warn!(days, "{what}"),
            }
        }
    }

    /// Days until the first certificate of the chain ends.
    pub fn days_left(&self, now: UnixMillis) -> i64 {
        let told = self.tell(now).chain.into_iter();
        told.map(|one| one.days).min().unwrap_or(0)
    }

    /// The chain in service.
    pub fn tell(&self, now: UnixMillis) -> Certificates {
        let state = self.lock();
        let seconds = i64::try_from(now.0 / 1_000).unwrap_or(i64::MAX);
        let chain = state.identity.chain().iter();
        Certificates {
            own: state.own,
            pin: state.identity.pin().to_string(),
            chain: chain.filter_map(|der| describe(der, seconds)).collect(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn load(config: &Config, folder: &Folder, now: UnixMillis) -> anyhow::Result<(Identity, bool)> {
    match (&config.tls.chain, &config.tls.key) {
        (Some(chain), Some(key)) => Ok((Identity::read(chain, key)?, false)),
        _ => Ok((folder.authority.issue(&config.names, now)?, true)),
    }
}

/// Which warning is due, if it was not told.
fn warning(days: i64, told: Option<i64>) -> Option<i64> {
    let due = WARNINGS.into_iter().filter(|limit| days <= *limit).min()?;
    told.is_none_or(|told| due < told).then_some(due)
}

fn describe(der: &[u8], now: i64) -> Option<Certificate> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let names = match certificate.subject_alternative_name() {
        Ok(Some(names)) => names.value.general_names.iter().map(name_of).collect(),
        Ok(None) | Err(_) => Vec::new(),
    };
    let until = certificate.validity().not_after.timestamp();
    Some(Certificate {
        subject: certificate.subject().to_string(),
        names,
        from: certificate.validity().not_before.timestamp(),
        until,
        days: (until - now).div_euclid(DAY_SECONDS),
    })
}

fn name_of(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).map_or_else(
                |_| String::new(),
                |v4| std::net::Ipv4Addr::from(v4).to_string(),
            ),
            _ => <[u8; 16]>::try_from(*bytes).map_or_else(
                |_| String::new(),
                |v6| std::net::Ipv6Addr::from(v6).to_string(),
            ),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_warning_is_told_once_and_in_time() {
        let mut told = None;
        let mut seen = Vec::new();
        for days in (-2..40).rev() {
            if let Some(due) = warning(days, told) {
                told = Some(due);
                seen.push((days, due));
            }
        }
        assert_eq!(seen, [(21, 21), (7, 7), (1, 1)]);
        // One that is brought too late gets the last word at once.
        assert_eq!(warning(0, None), Some(1));
        assert_eq!(warning(30, None), None);
    }

    #[test]
    fn the_own_certificate_is_described_as_it_was_issued() {
        let base = tempfile::tempdir().unwrap();
        let now = UnixMillis(1_800_000_000_000);
        let folder = Arc::new(Folder::open(&base.path().join("data"), now).unwrap());
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let config = Config {
            names: names.to_vec(),
            ..Config::default()
        };
        let keeper = Keeper::start(&config, folder, now).unwrap();
        let told = keeper.tell(now);
        assert!(told.own && told.chain.len() == 2, "{told:?}");
        assert_eq!(told.chain[0].names, names);
        assert_eq!(told.chain[0].days, 90);
        assert_eq!(keeper.days_left(now), 90);
        let later = now.plus(89 * 24 * 3_600_000);
        assert_eq!(keeper.days_left(later), 1);
        keeper.look(&config, later);
        assert_eq!(keeper.days_left(later), 90, "renewed");
    }
}
