//! Tests of the limits.

use futures_util::FutureExt;

use super::*;

async fn closed_after(connection: &Connection) -> (Duration, &'static str) {
    let start = Instant::now();
    let why = connection.overdue().await;
    (start.elapsed(), why)
}

#[tokio::test(start_paused = true)]
async fn every_state_of_a_connection_has_a_deadline() {
    let connections = Connections::new();
    let slot = connections.slot(None).await.unwrap();
    let connection = &slot.connection;
    assert_eq!(closed_after(connection).await, (HEADER_TIMEOUT, "no request received"));

    drop(RequestGuard::begin(&connections, connection).complete(b"sent".to_vec()));
    assert_eq!(closed_after(connection).await, (IDLE_TIMEOUT, "idle"));

    connection.read();
    tokio::time::advance(Duration::from_secs(7)).await;
    connection.read();
    assert_eq!(closed_after(connection).await, (HEADER_TIMEOUT - Duration::from_secs(7), "no request received"));

    let request = RequestGuard::begin(&connections, connection);
    tokio::time::advance(10 * IDLE_TIMEOUT).await;
    assert!(connection.overdue().now_or_never().is_none(), "a request is in progress");
    let response = request.complete(vec![0; 1000]);
    drop(request);
    assert_eq!(connections.unsent.load(Ordering::Relaxed), 1000);
    tokio::time::advance(STALLED_TIMEOUT / 2).await;
    connection.written();
    assert_eq!(closed_after(connection).await, (STALLED_TIMEOUT, "the client does not read the response"));
    for _ in 0..5 {
        tokio::time::advance(STALLED_TIMEOUT - Duration::from_secs(1)).await;
        connection.written();
    }
    assert_eq!(
        closed_after(connection).await,
        (Duration::ZERO, "the client does not read the response"),
        "also with slow progress"
    );
    drop(response);
    assert_eq!(connections.unsent.load(Ordering::Relaxed), 0);
    assert_eq!(closed_after(connection).await, (IDLE_TIMEOUT, "idle"));
}

#[tokio::test(start_paused = true)]
async fn the_longest_waiting_connection_is_closed_for_a_new_one() {
    let connections = Connections::new();
    let mut slots = Vec::new();
    for _ in connections.limit / RESERVED..connections.limit {
        slots.push(connections.slot(None).await.unwrap());
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    let busy = RequestGuard::begin(&connections, &slots[0].connection);
    let mut reserved = vec![connections.slot(None).now_or_never().flatten().unwrap()];
    assert!(slots[0].connection.overdue().now_or_never().is_none(), "its request is in progress");
    assert_eq!(slots[1].connection.overdue().now_or_never(), Some(Eviction::Connections.text()));
    assert!(slots[2].connection.overdue().now_or_never().is_none());
    while let Some(slot) = connections.slot(None).now_or_never().flatten() {
        reserved.push(slot);
    }
    assert_eq!(slots.len() + reserved.len(), connections.limit);
    slots.remove(1);
    assert!(connections.slot(None).await.is_some());
    drop(busy);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_waits_for_a_slot_looks_again_for_one_that_can_be_closed() {
    let connections = Connections::new();
    let mut slots = vec![connections.slot(None).await.unwrap()];
    let busy = RequestGuard::begin(&connections, &slots[0].connection);
    for _ in 1..connections.limit {
        let slot = connections.slot(None).await.unwrap();
        lock(&slot.connection.state).evicted = Some("before"); // but it does not end
        slots.push(slot);
    }
    let new = tokio::spawn({
        let connections = connections.clone();
        async move { connections.slot(None).await.is_some() }
    });
    tokio::time::sleep(EVICT_INTERVAL * 3).await;
    assert!(slots[0].connection.overdue().now_or_never().is_none(), "its request is in progress");
    drop(busy);
    assert_eq!(slots[0].connection.overdue().await, Eviction::Connections.text());
    slots.remove(0);
    assert!(new.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn unsent_responses_are_limited() {
    let connections = Connections::new();
    let mut slots = Vec::new();
    let mut responses = Vec::new();
    for _ in 0..4 {
        let slot = connections.slot(None).await.unwrap();
        responses.push(RequestGuard::begin(&connections, &slot.connection).complete(vec![0; MAX_UNSENT / 3]));
        slots.push(slot);
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    let ended: Vec<_> = slots.iter().map(|slot| slot.connection.overdue().now_or_never()).collect();
    assert_eq!(ended, [Some(Eviction::Memory.text()), None, None, None]);
}

#[tokio::test(start_paused = true)]
async fn a_response_in_pieces_has_the_deadlines_of_one_response() {
    let connections = Connections::new();
    let slot = connections.slot(None).await.unwrap();
    let connection = &slot.connection;
    let request = RequestGuard::begin(&connections, connection);
    let mut pieces = request.pieces((0..).map(|_| Ok::<_, ()>(vec![0; 1000])));
    for _ in 0..6 {
        drop(pieces.next().unwrap().unwrap());
        connection.written();
        assert!(connection.must_reset(), "more pieces follow");
        tokio::time::advance(STALLED_TIMEOUT - Duration::from_secs(1)).await;
    }
    assert_eq!(closed_after(connection).await, (Duration::from_secs(1), "the client does not read the response"));
    drop(pieces);
    assert_eq!(closed_after(connection).await, (IDLE_TIMEOUT, "idle"));
    assert!(!connection.must_reset());
    let mut failing = RequestGuard::begin(&connections, connection).pieces(std::iter::once(Err::<Vec<u8>, _>(())));
    assert!(failing.next().unwrap().is_err());
    drop(failing);
    assert!(connection.must_reset());
}

#[tokio::test(start_paused = true)]
async fn slow_clients_make_room_for_a_scrape_and_others_do_not() {
    let connections = Connections::new();
    let mut slots = Vec::new();
    for _ in 0..4 {
        slots.push(connections.slot(None).await.unwrap());
    }
    let [stalled, slow, reading, idle] = [0, 1, 2, 3].map(|slot: usize| &slots[slot].connection);
    let begin = |connection| RequestGuard::begin(&connections, connection).complete(vec![0; 1000]);
    let _slow = begin(slow);
    tokio::time::advance(SLOW_UNDER_PRESSURE - STALLED_UNDER_PRESSURE).await;
    let _others = (begin(stalled), begin(reading));
    tokio::time::advance(STALLED_UNDER_PRESSURE).await;
    slow.written();
    reading.written();
    connections.evict_slow();
    let closed = |connection: &Connection| lock(&connection.state).evicted.is_some();
    assert_eq!([stalled, slow, reading, idle].map(|connection| closed(connection)), [true, true, false, false]);
}

#[tokio::test(start_paused = true)]
async fn waiting_connections_are_closed_soon_during_shutdown() {
    let connections = Connections::new();
    let slot = connections.slot(None).await.unwrap();
    let connection = slot.connection.clone();
    let served = tokio::spawn(async move {
        let why = slot.connection.overdue().await;
        drop(slot);
        why
    });
    tokio::task::yield_now().await;
    let start = Instant::now();
    assert!(connections.drain(Duration::from_secs(5)).await);
    assert_eq!((start.elapsed(), served.await.unwrap()), (SHUTDOWN_HEADER_TIMEOUT, "the exporter is stopping"));
    let _request = RequestGuard::begin(&connections, &connection);
    assert!(connection.overdue().now_or_never().is_none(), "a request in progress is not closed");
}

#[tokio::test(start_paused = true)]
async fn the_longest_waiting_connections_of_the_address_with_the_most_are_closed_first() {
    let connections = Connections::new();
    let [flood, other] = [1, 2].map(|host| Some(IpAddr::from([192, 0, 2, host])));
    let mut slots = Vec::new();
    for address in [other, flood, flood, flood] {
        slots.push(connections.slot(address).await.unwrap());
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    slots[1].connection.read();
    let closed = || slots.iter().map(|slot| lock(&slot.connection.state).evicted.is_some()).collect::<Vec<_>>();
    connections.evict_waiting();
    assert_eq!(closed(), [false, false, true, false], "the first one of the flood has sent something since");
    connections.evict_waiting();
    assert_eq!(closed(), [false, false, true, true]);
}
