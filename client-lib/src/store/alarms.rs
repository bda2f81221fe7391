//! Alarms that nobody has acknowledged yet.

use plenary_proto::ids::{ChannelId, UnixMillis};
use rusqlite::params;

use super::{Store, column};
use crate::{engine::AlarmKind, error::Error};

/// Kept at most; a server that lies all day must not fill the disk. The first of each kind stays.
const MOST: i64 = 500;

/// An alarm as kept: the same one raised again counts, and takes no further room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// When it was raised first.
    pub first: UnixMillis,
    /// And last.
    pub last: UnixMillis,
    /// How often.
    pub count: u64,
    /// Where, if in a channel.
    pub channel: Option<ChannelId>,
    /// What it is about.
    pub kind: AlarmKind,
    /// What, in words.
    pub what: String,
}

impl Store {
    pub(crate) fn add_alarm(
        &self,
        now: UnixMillis,
        channel: Option<ChannelId>,
        kind: AlarmKind,
        what: &str,
    ) -> Result<(), Error> {
        let connection = self.lock();
        let place = channel.map(|channel| channel.0);
        let place = place.as_ref().map_or(&[][..], |place| &place[..]);
        connection.execute(
            "INSERT INTO alarm(first, last, count, channel, kind, what) VALUES(?1, ?1, 1, ?2, ?3, ?4)
             ON CONFLICT(channel, kind, what) DO UPDATE SET last = ?1, count = count + 1",
            params![now.0 as i64, place, kind.code(), what],
        )?;
        connection.execute(
            "DELETE FROM alarm WHERE position IN (
                 SELECT position FROM alarm
                 WHERE position NOT IN (SELECT min(position) FROM alarm GROUP BY kind)
                 ORDER BY position LIMIT max(0, (SELECT count(*) FROM alarm) - ?1))",
            [MOST],
        )?;
        Ok(())
    }

    /// In the order in which they were first raised.
    pub(crate) fn alarms(&self) -> Result<Vec<Alarm>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare(
            "SELECT first, last, count, channel, kind, what FROM alarm ORDER BY position",
        )?;
        let rows = query.query_map([], |row| {
            let code: String = row.get(4)?;
            Ok(AlarmKind::from_code(&code).map(|kind| {
                Ok(Alarm {
                    first: UnixMillis(row.get::<_, i64>(0)? as u64),
                    last: UnixMillis(row.get::<_, i64>(1)? as u64),
                    count: row.get::<_, i64>(2)? as u64,
                    channel: match row.get_ref(3)?.as_blob()? {
                        [] => None,
                        _ => Some(column(row, 3)?),
                    },
                    kind,
                    what: row.get(5)?,
                })
            }))
        })?;
        // A kind of another version's is passed over.
        rows.filter_map(|row| row.transpose().map(|row| row?))
            .collect::<Result<_, rusqlite::Error>>()
            .map_err(Error::from)
    }

    /// Somebody has seen them.
    pub(crate) fn clear_alarms(&self) -> Result<(), Error> {
        self.lock().execute("DELETE FROM alarm", [])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_stay_until_cleared_count_repeats_and_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p");
        let passphrase = crate::simulation::passphrase();
        let store = Store::create_cheaply(&path, &passphrase).unwrap();
        let channel = Some(ChannelId([3; 16]));
        let first = AlarmKind::LogForked;
        store
            .add_alarm(UnixMillis(5), channel, first, "once")
            .unwrap();
        store
            .add_alarm(UnixMillis(9), channel, first, "once")
            .unwrap();
        for number in 0..2 * MOST {
            let (now, what) = (UnixMillis(10), number.to_string());
            store
                .add_alarm(now, None, AlarmKind::Profile, &what)
                .unwrap();
        }
        drop(store);
        let store = Store::open(&path, &passphrase).unwrap();
        let alarms = store.alarms().unwrap();
        assert_eq!(alarms.len() as i64, MOST);
        let expected = Alarm {
            first: UnixMillis(5),
            last: UnixMillis(9),
            count: 2,
            channel,
            kind: first,
            what: "once".to_owned(),
        };
        assert_eq!(alarms[0], expected);
        let newest = (2 * MOST - 1).to_string();
        assert_eq!(
            alarms.last().map(|alarm| alarm.what.as_str()),
            Some(&*newest)
        );
        store.clear_alarms().unwrap();
        assert_eq!(store.alarms().unwrap(), []);
    }
}
