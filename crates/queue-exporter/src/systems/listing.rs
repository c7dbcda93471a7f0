//! Ways for a queue system to list its queues.

use anyhow::Result;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};

use crate::queue_system::{ListedQueue, QueueId};
use crate::redis::{KeyScanner, RedisClient};

/// A list that one request returns. Its entries are created one by one, because an entry is much larger than a name.
pub(super) fn list_from<'a, L>(list: impl Future<Output = Result<L>> + Send + 'a) -> BoxStream<'a, Result<ListedQueue>>
where
    L: IntoIterator<Item = Result<ListedQueue>, IntoIter: Send + 'a> + Send + 'a,
{
    stream::once(list).map_ok(stream::iter).try_flatten().boxed()
}

/// The queues of the keys that a scan finds, sorted, because the output is. The list contains the errors of cluster nodes that
/// were not scanned.
pub(super) fn list_keys<'a>(
    scanner: &'a KeyScanner,
    redis: &'a RedisClient,
    queue: impl Fn(&str) -> Option<QueueId> + Send + 'a,
) -> BoxStream<'a, Result<ListedQueue>> {
    list_from(async move {
        let (keys, errors) = scanner.find_some(redis).await?;
        let mut queues: Vec<QueueId> = keys.iter().filter_map(|key| queue(key)).collect();
        queues.sort();
        let listed = |queue| Ok(ListedQueue { queue, statistics: None });
        Ok(queues.into_iter().map(listed).chain(errors.into_iter().map(Err)))
    })
}
