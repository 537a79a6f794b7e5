//! Behaviours as text.

use std::fmt;

use super::table::reason_name;
use super::{Action, Behaviour, Fault, Http2Fault, Manner, Status, StatusBody, Then};
use crate::upstream::text::{duration, quote};

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.action.name())?;
        match &self.action {
            Action::Slow(time) | Action::Refuse(Some(time)) => write!(f, ":{}", duration(*time))?,
            Action::Status(status) => status.fmt(f)?,
            Action::Flaky(flaky) if flaky.seed == 0 => write!(f, ":{}", flaky.percent)?,
            Action::Flaky(flaky) => write!(f, ":{},seed={}", flaky.percent, flaky.seed)?,
            Action::Stream(fault) => write!(f, ":{}", fault.events)?,
            Action::Http2(Http2Fault::Reset(reason) | Http2Fault::ResetBody(reason)) => {
                write!(f, ":{}", reason_name(*reason))?;
            }
            Action::Ok | Action::Fault(_) | Action::Http2(_) | Action::Refuse(None) => {}
        }
        self.manner.fmt(f)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ":{}", self.code)?;
        if let Some(text) = &self.retry_after {
            write!(f, ",retry-after={}", quote(text))?;
        }
        if let Some(millis) = self.retry_after_ms {
            write!(f, ",retry-after-ms={millis}")?;
        }
        match &self.body {
            StatusBody::Text => Ok(()),
            StatusBody::Empty => f.write_str(",body=empty"),
            StatusBody::Api(None) => f.write_str(",body=api"),
            StatusBody::Api(Some(code)) => write!(f, ",code={}", quote(code)),
        }
    }
}

impl fmt::Display for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = Manner::default();
        if self.events != usual.events {
            write!(f, ",events={}", self.events)?;
        }
        if self.gap != usual.gap {
            write!(f, ",gap={}", duration(self.gap))?;
        }
        for (name, value) in &self.headers {
            write!(f, ",header={}", quote(&format!("{name}: {value}")))?;
        }
        Ok(())
    }
}

impl Action {
    /// Its name in the table, which is also its name in the statistics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Action::Ok => "ok",
            Action::Slow(_) => "slow",
            Action::Status(_) => "status",
            Action::Flaky(_) => "flaky",
            Action::Refuse(_) => "refuse",
            Action::Fault(fault) => match fault {
                Fault::Hang => "hang",
                Fault::Reset => "reset",
                Fault::Close => "close",
                Fault::Garbage => "garbage",
                Fault::Http09 => "http09",
                Fault::Truncate => "truncate",
                Fault::BadChunk => "bad-chunk",
                Fault::MissingLastChunk => "missing-last-chunk",
                Fault::HeadThenHang => "head-then-hang",
                Fault::NoFirstToken => "no-first-token",
                Fault::TwoLengths => "two-lengths",
                Fault::LengthAndChunked => "length-and-chunked",
                Fault::HugeHead => "huge-head",
                Fault::CloseAfter => "close-after",
            },
            Action::Http2(fault) => match fault {
                Http2Fault::Reset(_) => "h2-reset",
                Http2Fault::ResetBody(_) => "h2-reset-body",
                Http2Fault::GoAway => "h2-goaway",
                Http2Fault::GoAwayAfter => "h2-goaway-after",
                Http2Fault::GoAwayBody => "h2-goaway-body",
                Http2Fault::BadFrame => "h2-bad-frame",
                Http2Fault::BadHeaders => "h2-bad-headers",
                Http2Fault::Short => "h2-short",
                Http2Fault::Long => "h2-long",
            },
            Action::Stream(fault) => match fault.then {
                Then::Cut => "stream-cut",
                Then::Reset => "stream-reset",
                Then::NoEnd => "stream-no-end",
                Then::NoReason => "stream-no-reason",
                Then::Error => "stream-error",
                Then::Stall => "stream-stall",
                Then::Keepalive => "stream-keepalive",
            },
        }
    }
}
