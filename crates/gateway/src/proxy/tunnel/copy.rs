//! Bytes both ways, until one side has had enough.

use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf, split};
use tokio::time::{Instant, sleep_until, timeout};

use super::frames::{Frames, goodbye_to_client, goodbye_to_server};
use crate::proxy::answer::now;

/// How much is taken at once.
const PIECE: usize = 16 * 1024;

/// How long the last words to and from one side may take after the other is gone.
const LINGER: Duration = Duration::from_secs(1);

/// How a tunnel ended.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum End {
    /// Both sides are through.
    Finished,
    /// The client's connection was lost, or closed without a word.
    ClientGone,
    /// The upstream's was.
    UpstreamCut,
    /// Nothing moved for too long.
    Idle,
    /// The gateway stops.
    Stopped,
}

/// How one direction ended.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Stop {
    /// Its sender has no more to say, and its receiver was told so.
    Ended,
    /// Its sender is gone.
    SenderLost,
    /// Its receiver is gone.
    ReceiverLost,
}

/// What is known of one direction.
struct Flow {
    /// Of WebSocket only.
    frames: Option<Frames>,
    /// Whether a piece is on its way, perhaps in part.
    writing: bool,
}

/// When something last moved.
struct Moved {
    start: Instant,
    millis: AtomicU64,
}

impl End {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            End::Finished => "finished",
            End::ClientGone => "client_gone",
            End::UpstreamCut => "upstream_cut",
            End::Idle => "idle",
            End::Stopped => "stopped",
        }
    }
}

/// Passes bytes on in both directions until both have ended, one side is gone, nothing has moved for
/// `idle`, or `cut` is ready. One direction may end long before the other, but not of a WebSocket.
pub(super) async fn run<C, U>(
    client: C,
    upstream: U,
    websocket: bool,
    idle: Duration,
    cut: impl Future<Output = ()>,
) -> End
where
    C: AsyncRead + AsyncWrite,
    U: AsyncRead + AsyncWrite,
{
    let (mut from_client, mut to_client) = split(client);
    let (mut from_upstream, mut to_upstream) = split(upstream);
    let (up, down) = (Mutex::new(Flow::new(websocket)), Mutex::new(Flow::new(websocket)));
    let moved = Moved { start: now(), millis: AtomicU64::new(0) };
    let end = {
        let mut upward = pin!(pass(&mut from_client, &mut to_upstream, &up, &moved));
        let mut downward = pin!(pass(&mut from_upstream, &mut to_client, &down, &moved));
        let mut quiet = pin!(moved.quiet(idle));
        let mut cut = pin!(cut);
        let mut ended_up = false;
        let mut ended_down = false;
        loop {
            tokio::select! {
                biased;
                stop = downward.as_mut(), if !ended_down => match stop {
                    Stop::ReceiverLost => break lost(End::ClientGone, &up, &down),
                    Stop::Ended if !websocket => ended_down = true,
                    Stop::Ended | Stop::SenderLost => break lost(End::UpstreamCut, &up, &down),
                },
                stop = upward.as_mut(), if !ended_up => match stop {
                    Stop::SenderLost => break lost(End::ClientGone, &up, &down),
                    Stop::ReceiverLost if ended_down => break End::Finished,
                    // What it said last may still be on its way.
                    Stop::ReceiverLost => break match timeout(LINGER, downward.as_mut()).await {
                        Ok(Stop::ReceiverLost) => lost(End::ClientGone, &up, &down),
                        Ok(Stop::Ended) if !websocket => End::Finished,
                        _ => lost(End::UpstreamCut, &up, &down),
                    },
                    Stop::Ended if websocket => {
                        let end = lost(End::ClientGone, &up, &down);
                        if end == End::Finished {
                            // The other's goodbye has its time.
                            let _ = timeout(LINGER, downward.as_mut()).await;
                        }
                        break end;
                    }
                    Stop::Ended => ended_up = true,
                },
                () = quiet.as_mut() => break End::Idle,
                () = cut.as_mut() => break End::Stopped,
            }
            if ended_up && ended_down {
                break End::Finished;
            }
        }
    };
    if matches!(end, End::Idle | End::Stopped) {
        let goodbye = async {
            if down.state().can_be_closed() {
                let _ = to_client.write_all(&goodbye_to_client()).await;
            }
            if up.state().can_be_closed() {
                let mask = fastrand::u32(..).to_ne_bytes();
                let _ = to_upstream.write_all(&goodbye_to_server(mask)).await;
            }
            let _ = tokio::join!(to_client.shutdown(), to_upstream.shutdown());
        };
        let _ = timeout(LINGER / 2, goodbye).await;
    }
    end
}

/// What it is when a connection is at its end: none of a loss if somebody had said so.
fn lost(end: End, up: &Mutex<Flow>, down: &Mutex<Flow>) -> End {
    match up.state().is_closed() || down.state().is_closed() {
        true => End::Finished,
        false => end,
    }
}

/// Passes on what comes in one direction.
async fn pass<R, W>(from: &mut R, to: &mut W, flow: &Mutex<Flow>, moved: &Moved) -> Stop
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    loop {
        let Ok(piece) = receive(from).await else {
            let _ = timeout(LINGER, to.shutdown()).await;
            return Stop::SenderLost;
        };
        moved.note();
        if piece.is_empty() {
            return match to.shutdown().await {
                Ok(()) => Stop::Ended,
                Err(_) => Stop::ReceiverLost,
            };
        }
        flow.state().writing = true;
        // What has been read must not wait in a buffer, such as that of TLS.
        if to.write_all(&piece).await.is_err() || to.flush().await.is_err() {
            return Stop::ReceiverLost;
        }
        let mut flow = flow.state();
        flow.writing = false;
        if let Some(frames) = &mut flow.frames {
            frames.feed(&piece);
        }
        moved.note();
    }
}

/// The next piece; empty at the end. Nothing is held while nothing comes: tunnels are idle mostly.
async fn receive(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Bytes> {
    std::future::poll_fn(|cx| {
        let mut room = [std::mem::MaybeUninit::uninit(); PIECE];
        let mut piece = ReadBuf::uninit(&mut room);
        ready!(Pin::new(&mut *from).poll_read(cx, &mut piece))?;
        Poll::Ready(Ok(Bytes::copy_from_slice(piece.filled())))
    })
    .await
}

// ===== impl Flow, Moved =====

impl Flow {
    fn new(websocket: bool) -> Flow {
        Flow { frames: websocket.then(Frames::new), writing: false }
    }

    /// Whether its sender has said that it closes. Only a WebSocket does; of others, an end in
    /// order is not seen here.
    fn is_closed(&self) -> bool {
        self.frames.as_ref().is_some_and(Frames::is_closed)
    }

    /// Whether a close frame of ours would be understood here.
    fn can_be_closed(&self) -> bool {
        !self.writing
            && self.frames.as_ref().is_some_and(|frames| frames.is_between() && !frames.is_closed())
    }
}

trait State {
    fn state(&self) -> MutexGuard<'_, Flow>;
}

impl State for Mutex<Flow> {
    fn state(&self) -> MutexGuard<'_, Flow> {
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Moved {
    fn note(&self) {
        let millis = now().duration_since(self.start).as_millis() as u64;
        // One task does all of it.
        self.millis.store(millis, Ordering::Relaxed);
    }

    /// Ready when nothing has moved for so long.
    async fn quiet(&self, idle: Duration) {
        loop {
            let last = Duration::from_millis(self.millis.load(Ordering::Relaxed));
            let until = self.start + last + idle;
            if until <= now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);
    const CLOSE: [u8; 4] = [0x88, 2, 3, 0xe8];

    /// A tunnel with its two ends, and what cuts it.
    struct Rig {
        client: DuplexStream,
        upstream: DuplexStream,
        cut: oneshot::Sender<()>,
        tunnel: JoinHandle<End>,
    }

    fn rig(websocket: bool) -> Rig {
        let (client, near) = duplex(64);
        let (upstream, far) = duplex(64);
        let (cut, is_cut) = oneshot::channel::<()>();
        let tunnel = tokio::spawn(run(near, far, websocket, HOUR, async {
            if is_cut.await.is_err() {
                std::future::pending::<()>().await;
            }
        }));
        Rig { client, upstream, cut, tunnel }
    }

    async fn rest(mut stream: DuplexStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        bytes
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_pass_both_ways_and_each_has_its_own_end() {
        let Rig { mut client, mut upstream, tunnel, cut } = rig(false);
        client.write_all(b"to the upstream").await.unwrap();
        client.shutdown().await.unwrap();
        let mut said = Vec::new();
        upstream.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, b"to the upstream");
        // Long after that, the other is still talking.
        tokio::time::sleep(HOUR / 2).await;
        let talking = tokio::spawn(async move { upstream.write_all(&[7; 1_000]).await });
        assert_eq!(rest(client).await, [7; 1_000]);
        talking.await.unwrap().unwrap();
        assert_eq!(tunnel.await.unwrap(), End::Finished);
        drop(cut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_websocket_ends_with_a_close_frame_or_is_cut() {
        for (said_by_upstream, said_by_client, end) in [
            (&CLOSE[..], &[][..], End::Finished),
            (&[], &CLOSE, End::Finished),
            (&[], &[], End::UpstreamCut),
            (&[0x82, 4, 0x88, 0], &[], End::UpstreamCut),
        ] {
            let Rig { mut client, mut upstream, tunnel, cut } = rig(true);
            client.write_all(said_by_client).await.unwrap();
            let mut heard = vec![0; said_by_client.len()];
            upstream.read_exact(&mut heard).await.unwrap();
            upstream.write_all(said_by_upstream).await.unwrap();
            drop(upstream);
            assert_eq!(rest(client).await, said_by_upstream);
            assert_eq!(tunnel.await.unwrap(), end, "{said_by_upstream:?}");
            drop(cut);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_may_leave_without_a_word() {
        for websocket in [false, true] {
            let Rig { client, upstream, tunnel, cut } = rig(websocket);
            drop(client);
            assert_eq!(rest(upstream).await, b"");
            let end = if websocket { End::ClientGone } else { End::Finished };
            assert_eq!(tunnel.await.unwrap(), end);
            drop(cut);
        }
        // After a close frame it waits for the answer to it.
        let Rig { mut client, mut upstream, tunnel, cut } = rig(true);
        client.write_all(&CLOSE).await.unwrap();
        client.shutdown().await.unwrap();
        let mut heard = [0; 4];
        upstream.read_exact(&mut heard).await.unwrap();
        upstream.write_all(&CLOSE).await.unwrap();
        drop(upstream);
        assert_eq!(rest(client).await, CLOSE);
        assert_eq!(tunnel.await.unwrap(), End::Finished);
        drop(cut);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_in_both_directions_is_bounded() {
        let Rig { mut client, mut upstream, tunnel, cut } = rig(true);
        let started = now();
        for _ in 0..3 {
            tokio::time::sleep(HOUR / 4 * 3).await;
            // A ping of one side is enough.
            client.write_all(&[0x89, 0x80, 0, 0, 0, 0]).await.unwrap();
            upstream.read_exact(&mut [0; 6]).await.unwrap();
        }
        assert_eq!(tunnel.await.unwrap(), End::Idle);
        let took = started.elapsed();
        assert!(took >= HOUR / 4 * 13 && took < HOUR / 4 * 14, "{took:?}");
        assert_eq!(rest(client).await, goodbye_to_client());
        let goodbye = rest(upstream).await;
        assert_eq!((goodbye.len(), goodbye[0], goodbye[1]), (8, 0x88, 0x82));
        drop(cut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_says_goodbye_only_where_it_is_understood() {
        let Rig { client, mut upstream, tunnel, cut } = rig(true);
        // In the middle of a message from the upstream.
        upstream.write_all(&[0x82, 10, 1, 2]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        cut.send(()).unwrap();
        assert_eq!(tunnel.await.unwrap(), End::Stopped);
        assert_eq!(rest(client).await, [0x82, 10, 1, 2]);
        assert_eq!(rest(upstream).await.len(), 8);
        // And not at all where nobody speaks WebSocket.
        let Rig { client, upstream, tunnel, cut } = rig(false);
        cut.send(()).unwrap();
        assert_eq!(tunnel.await.unwrap(), End::Stopped);
        assert_eq!((rest(client).await, rest(upstream).await), (vec![], vec![]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_side_that_takes_nothing_is_silent() {
        let Rig { mut client, upstream, tunnel, cut } = rig(false);
        // More than fits into the way there.
        let flood = async { while client.write_all(&[0; 64]).await.is_ok() {} };
        flood.await;
        assert_eq!(tunnel.await.unwrap(), End::Idle);
        drop((upstream, cut));
    }
}
