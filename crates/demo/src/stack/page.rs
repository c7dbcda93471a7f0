//! The demo's page: live graphs of all parts, alerts, and buttons for the drills.

use std::collections::VecDeque;

use anyhow::Result;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use warp::filters::BoxedFilter;
use warp::http::{Response, StatusCode, header};
use warp::{Filter, Reply};

use super::alerts::Alert;
use super::drills::{DRILLS, Drills, Order};
use super::parts::Part;
use super::processes::{PartProcess, Processes};
use super::values::Values;

const HTML: &str = include_str!("page/page.html");
const CSS: &str = include_str!("page/page.css");
const JS: &str = include_str!("page/page.js");

/// The page loads nothing from elsewhere, and no other page can embed it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Number of points of a graph; one per second.
const POINTS: usize = 120;
/// Number of orders that may wait.
const ORDERS: usize = 16;

/// The page's state, and the orders of its visitors.
pub(crate) struct Page {
    state: watch::Sender<Value>,
    pub(crate) orders: mpsc::Receiver<Order>,
    /// The values of the past seconds, of each part.
    history: VecDeque<Vec<Values>>,
}

/// What the page shows of this moment.
pub(crate) struct Moment<'a> {
    pub(crate) parts: &'a [Part],
    pub(crate) processes: &'a Processes,
    pub(crate) drills: &'a Drills,
    pub(crate) values: Vec<Values>,
    pub(crate) alerts: &'a [Alert],
    /// The URL of Prometheus, if it runs.
    pub(crate) prometheus: Option<&'a str>,
}

impl Page {
    /// Serves the page on a port of loopback until the runtime ends.
    pub(crate) async fn serve(port: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let (state, states) = watch::channel(Value::Null);
        let (sender, orders) = mpsc::channel(ORDERS);
        tokio::spawn(warp::serve(routes(states, sender)).incoming(listener).run());
        Ok(Self { state, orders, history: VecDeque::new() })
    }

    /// Shows a new moment. The graphs get one more point.
    pub(crate) fn show(&mut self, moment: Moment<'_>) {
        let Moment { parts, processes, drills, values, alerts, prometheus } = moment;
        if self.history.len() == POINTS {
            self.history.pop_front();
        }
        self.history.push_back(values);
        let parts = parts.iter().zip(processes.all()).enumerate();
        let parts: Vec<_> = parts.map(|(at, (part, process))| self.part(at, part, process)).collect();
        let drills = DRILLS.iter().map(|drill| {
            let running = drills.is_running(drill, processes);
            json!({ "name": drill.name, "fault": drill.fault, "alert": drill.alert, "running": running })
        });
        let state = json!({
            "parts": parts,
            "drills": drills.collect::<Vec<_>>(),
            "alerts": alerts.iter().map(Alert::json).collect::<Vec<_>>(),
            "prometheus": prometheus,
        });
        self.state.send_replace(state);
    }

    fn part(&self, at: usize, part: &Part, process: &PartProcess) -> Value {
        let Some(latest) = self.history.back().map(|all| &all[at]) else { return Value::Null };
        let state = match (&latest.metrics, latest.exited) {
            (_, true) => "exited",
            _ if process.suspended => "suspended",
            (None, _) => "no response",
            _ => "running",
        };
        let graphs = part.values.iter().enumerate().map(|(number, series)| {
            let points = self.history.iter().map(|all| all[at].metrics.as_ref().and_then(|values| values[number]));
            let points: Vec<_> = points.collect();
            json!({ "name": series.name, "counter": series.is_counter(), "points": points })
        });
        json!({
            "name": part.name,
            "links": part.links,
            "metrics": part.metrics,
            "state": state,
            "cpu": latest.usage.map(|(cpu, _)| cpu),
            "memory": latest.usage.map(|(_, memory)| memory),
            "graphs": graphs.collect::<Vec<_>>(),
        })
    }
}

fn routes(states: watch::Receiver<Value>, orders: mpsc::Sender<Order>) -> BoxedFilter<(impl Reply,)> {
    let html = warp::path::end().map(|| response("text/html; charset=utf-8", HTML.to_owned()));
    let css = warp::path!("page.css").map(|| response("text/css", CSS.to_owned()));
    let js = warp::path!("page.js").map(|| response("text/javascript", JS.to_owned()));
    let state = warp::path!("state").map(move || response("application/json", states.borrow().to_string()));
    // Another website can send a plain POST to this host, but not with this header.
    let order = warp::path!("drills" / String / String)
        .and(warp::header::exact("x-demo", "1"))
        .map(move |name: String, action: String| order(&orders, &name, &action));
    let get = html.or(css).unify().or(js).unify().or(state).unify();
    warp::get().and(get).or(warp::post().and(order)).boxed()
}

fn order(orders: &mpsc::Sender<Order>, name: &str, action: &str) -> StatusCode {
    let start = match action {
        "start" => true,
        "stop" => false,
        _ => return StatusCode::NOT_FOUND,
    };
    let Some(drill) = DRILLS.iter().find(|drill| drill.name == name) else { return StatusCode::NOT_FOUND };
    match orders.try_send(Order { drill, start }) {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn response(content_type: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    response
}
