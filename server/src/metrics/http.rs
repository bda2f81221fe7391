//! Health and metrics by plain HTTP, on a loopback address of their own.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::warn;

use crate::admin::Office;

/// At once; what is above waits.
const CONNECTIONS: usize = 16;
/// For a request's head to come.
const HEAD: Duration = Duration::from_secs(5);
/// For a connection altogether: a scraper comes again.
const LIFE: Duration = Duration::from_secs(60);
const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The listener.
#[derive(Debug)]
pub struct Listener(TcpListener);

impl Listener {
    /// Listens.
    ///
    /// # Errors
    /// The address is taken.
    pub async fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await;
        Ok(Self(listener.with_context(|| {
            format!("cannot listen on {address}: set metrics.listen")
        })?))
    }

    /// Where.
    ///
    /// # Errors
    /// The system's.
    pub fn local(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Answers, for ever.
    pub async fn serve(self, office: Arc<Office>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            let stream = match self.0.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!(%error, "cannot accept for metrics");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            let office = office.clone();
            tokio::spawn(async move {
                let answer = service_fn(|request| answer(request, office.clone()));
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD)
                    .keep_alive(false)
                    .serve_connection(TokioIo::new(stream), answer);
                // A scraper that goes away is none of our business.
                let _ = tokio::time::timeout(LIFE, connection).await;
                drop(place);
            });
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    office: Arc<Office>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.method() != Method::GET {
        return Ok(response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET only\n"));
    }
    let health = |result: Result<(), String>| match result {
        Ok(()) => response(StatusCode::OK, TEXT, "ok\n"),
        Err(why) => response(StatusCode::SERVICE_UNAVAILABLE, TEXT, why + "\n"),
    };
    Ok(match request.uri().path() {
        "/livez" => health(office.alive()),
        "/readyz" => health(office.ready()),
        "/metrics" => {
            // Reads the store, and may wait for its disk.
            let text = tokio::task::spawn_blocking(move || office.metrics_text()).await;
            match text {
                Ok(Ok(text)) => response(StatusCode::OK, OPEN_METRICS, text),
                Ok(Err(error)) => health(Err(format!("{error:#}"))),
                Err(error) => health(Err(error.to_string())),
            }
        }
        _ => response(
            StatusCode::NOT_FOUND,
            TEXT,
            "here are /livez, /readyz and /metrics\n",
        ),
    })
}

fn response(
    status: StatusCode,
    kind: &'static str,
    text: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
