//! An echo over the code of every connection, for WebSocket's conformance tests: the same guard,
//! scanner and protocol; but no TLS, any subprotocol, text too, 16 MiB, any number of fragments and
//! control frames. Compiled only with the feature `conformance`.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use plenary_proto::limits::READ_BUFFER;
use plenary_proto::scanner::Rules;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::protocol::frame::coding::Data;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_async_with_config};

use super::connection::{Ended, ended_by, put};
use super::guard::Guarded;

/// Bytes of a message: what the tests send at most.
const MESSAGE: usize = 16 << 20;

/// Echoes until the peer leaves or breaks WebSocket, which it is told by the code that any peer of
/// the server gets. Errors: what broke the connection.
pub async fn echo<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> Result<(), Error> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(MESSAGE))
        .max_frame_size(Some(MESSAGE));
    let mut socket = accept_async_with_config(Guarded::new(stream), Some(config)).await?;
    socket.get_mut().expect_frames(Rules {
        message: MESSAGE,
        fragments: usize::MAX,
        controls: u32::MAX,
        text: true,
    });
    while let Some(message) = socket.next().await {
        match message {
            Ok(Message::Binary(payload)) => answer(&mut socket, Data::Binary, payload).await?,
            Ok(Message::Text(text)) => answer(&mut socket, Data::Text, text.into()).await?,
            Ok(_) => {}
            Err(error) => {
                if let Ended::Closed(closing) = ended_by(&error) {
                    let frame = CloseFrame {
                        code: closing.code().into(),
                        reason: closing.reason().into(),
                    };
                    socket.close(Some(frame)).await?;
                }
                return Err(error);
            }
        }
    }
    Ok(())
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<Guarded<S>>,
    kind: Data,
    payload: Bytes,
) -> Result<(), Error> {
    put(socket, kind, payload.into()).await?;
    socket.flush().await
}
