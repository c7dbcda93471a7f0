//! A fake application with the interface of the queue system `http`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use percent_encoding::percent_decode_str;

use crate::fake::{Fake, Reply, Request};

/// An application whose queues, and optionally the list, return the responses that the test sets.
#[derive(Clone, Default)]
pub(crate) struct App(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    list: Option<Reply>,
    queues: BTreeMap<String, Reply>,
}

impl App {
    pub(crate) fn with<const N: usize>(queues: [(&str, &str); N]) -> Self {
        let app = Self::default();
        for (name, statistics) in queues {
            app.set(name, Reply::json(statistics));
        }
        app
    }

    pub(crate) fn set(&self, name: &str, reply: Reply) {
        self.0.lock().unwrap().queues.insert(name.to_owned(), reply);
    }

    pub(crate) fn delete(&self, name: &str) {
        self.0.lock().unwrap().queues.remove(name);
    }

    pub(crate) fn list(&self, reply: Option<Reply>) {
        self.0.lock().unwrap().list = reply;
    }

    pub(crate) fn respond(&self, request: &Request) -> Reply {
        let state = self.0.lock().unwrap();
        let path = request.target.split('?').next().unwrap();
        let Some(name) = path.strip_prefix("/queues/") else {
            let names: Vec<_> = state.queues.keys().collect();
            let list = serde_json::json!({ "queues": names }).to_string();
            return state.list.clone().unwrap_or(Reply::json(list));
        };
        assert!(!name.contains('/'), "a name is one segment: {name}");
        let name = percent_decode_str(name).decode_utf8().unwrap();
        state.queues.get(&*name).cloned().unwrap_or(Reply::Complete(404, String::new()))
    }

    pub(crate) fn start(&self) -> Fake {
        let app = self.clone();
        let mut fake = Fake::start(move |request| app.respond(request));
        fake.url.push_str("/queues");
        fake
    }
}

pub(crate) fn depth(queue: &str) -> String {
    format!("queue_depth{{queue_name=\"{queue}\"}}")
}

pub(crate) fn processed(queue: &str, status: &str) -> String {
    format!("messages_processed_total{{queue_name=\"{queue}\",status=\"{status}\"}}")
}
