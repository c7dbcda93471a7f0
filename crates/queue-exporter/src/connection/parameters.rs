//! The parameters in the query of a URL.

use reqwest::Url;

/// Removes the parameters whose names are accepted from a URL, and returns them.
pub(crate) fn take_parameters(url: &mut Url, is_taken: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let (taken, others): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(name, _)| is_taken(name));
    url.set_query(None);
    if !others.is_empty() {
        url.query_pairs_mut().extend_pairs(others);
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_parameters_remain() {
        let mut url = Url::parse("redis://h?a=1&b=x%26y&a=2").unwrap();
        let taken = take_parameters(&mut url, |name| name == "a");
        assert_eq!(taken.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(url.as_str(), "redis://h?b=x%26y");
        take_parameters(&mut url, |_| true);
        assert_eq!(url.as_str(), "redis://h");
    }
}
