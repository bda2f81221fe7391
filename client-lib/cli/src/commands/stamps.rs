//! Time stamps: by whom statements are stamped, and what stamps prove.

use std::path::Path;

use plenary_client::{
    Authorities, TimeStamping,
    custody::{Said, Verdict},
};
use serde_json::{Value, json};

use crate::{
    args::TimeStampsArgs,
    exit::Failure,
    output::{Line, Style},
    session::{Context, Need},
    time,
};

/// Far more than a few certificates.
const MAX_FILE: u64 = 1 << 20;

pub(super) async fn run(context: &Context, args: TimeStampsArgs) -> Result<(), Failure> {
    let session = context.session(Need::Stored).await?;
    if let Some(url) = args.service {
        let mut service = TimeStamping::by(url);
        if let Some(path) = args.ca {
            service = service.authorities(read(&path)?);
        }
        if let Some(path) = args.https_ca {
            service = service.https_authorities(read(&path)?);
        }
        session.client.set_time_stamping(Some(service)).await?;
    } else if args.off {
        session.client.set_time_stamping(None).await?;
    }
    let service = session.client.time_stamping().await?;
    context.out.emit(
        || {
            json!({
                "service": service.as_ref().map(|service| &service.url),
                "authorities": service.as_ref().is_some_and(|service| service.authorities.is_some()),
            })
        },
        |line| match &service {
            None => line.plain("nobody stamps what this profile states"),
            Some(service) => line.plain("stamped by  ").add(Style::Bold, &service.url),
        },
    )?;
    if service.is_some_and(|service| service.authorities.is_none()) {
        context.out.note(
            "Whose tokens these will be is not checked: give the authority's certificate, --ca.",
        );
    }
    session.finish().await
}

/// Certificates in a file that the user named.
pub(super) fn authorities(path: Option<&Path>) -> Result<Option<Authorities>, Failure> {
    let Some(path) = path else {
        return Ok(None);
    };
    let authorities = Authorities::from_pem(read(path)?.as_bytes());
    authorities
        .map(Some)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

fn read(path: &Path) -> Result<String, Failure> {
    let name = path.display().to_string();
    let size = std::fs::metadata(path).map_err(|error| Failure::io(&name, &error))?;
    if size.len() > MAX_FILE {
        return Err(Failure::usage(format!(
            "{name}: too large for certificates"
        )));
    }
    std::fs::read_to_string(path).map_err(|error| Failure::io(&name, &error))
}

/// What to tell whoever reads stamps that lead to nobody whom they named.
pub(super) fn unbacked(found: &Verdict) -> Option<String> {
    let mut stamps = found.statements.iter().flat_map(|said| &said.stamps);
    stamps.any(|stamp| !stamp.backed).then(|| {
        "Time stamps are not checked against an authority: name the certificate of one that you \
         trust with --tsa-ca."
            .to_owned()
    })
}

/// A statement's line, with its stamps below.
pub(super) fn shown(mut line: Line, said: &Said) -> Line {
    for stamp in &said.stamps {
        let style = if stamp.backed {
            Style::Good
        } else {
            Style::Dim
        };
        line = line
            .end()
            .add(style, &format!("  stamped {}", time::local(stamp.time)))
            .plain("  by ")
            .plain(&stamp.signer);
        if !stamp.backed {
            line = line.add(Style::Dim, "  (not checked against an authority)");
        }
    }
    line
}

pub(super) fn json(said: &Said) -> Vec<Value> {
    let stamps = said.stamps.iter().map(|stamp| {
        json!({
            "time": time::rfc3339(stamp.time),
            "signer": stamp.signer,
            "certificate": stamp.certificate.to_string(),
            "serial": stamp.serial,
            "backed": stamp.backed,
        })
    });
    stamps.collect()
}
