//! Checks the bcrypt hashes of the web configuration.

use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::{Result, bail, ensure};

/// Above this cost a check takes more than a second.
const HIGH_COST: u32 = 14;

/// The bcrypt cost of a hash.
pub(crate) fn cost(hash: &str) -> Option<u32> {
    bcrypt::HashParts::from_str(hash).ok().map(|parts| parts.get_cost())
}

/// Checks that a text is a bcrypt hash.
pub(crate) fn check_hash(hash: &str) -> Result<()> {
    const HOW: &str = "create a hash with: htpasswd -nBC 10 \"\"";
    ensure!(hash.len() >= 59, "crypto/bcrypt: hashedSecret too short to be a bcrypted password; {HOW}");
    let Ok(parts) = bcrypt::HashParts::from_str(hash) else { bail!("crypto/bcrypt: not a bcrypt hash; {HOW}") };
    ensure!((4..=31).contains(&parts.get_cost()), "crypto/bcrypt: cost {} is not between 4 and 31", parts.get_cost());
    Ok(())
}

/// Warnings about slow hashes.
pub(crate) fn warnings(users: &BTreeMap<String, String>) -> impl Iterator<Item = String> {
    users.iter().filter_map(|(user, hash)| {
        let cost = cost(hash).filter(|cost| *cost > HIGH_COST)?;
        Some(format!(
            "basic_auth_users: the password of {user} has bcrypt cost {cost}: each first login takes seconds of CPU; use 10 to 12"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(version: &str, cost: &str) -> String {
        format!("${version}${cost}$aaaaaaaaaaaaaaaaaaaaaeaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
    }

    #[test]
    fn a_hash_is_recognized_by_its_form() {
        for version in ["2a", "2b", "2y"] {
            check_hash(&hash(version, "04")).unwrap();
        }
        let warnings = |cost: &str| warnings(&BTreeMap::from([("a".to_owned(), hash("2b", cost))])).count();
        assert_eq!((warnings("15"), warnings("04")), (1, 0));
        for (hash, error) in [
            ("secret".to_owned(), "too short"),
            ("x".repeat(60), "not a bcrypt hash"),
            (hash("2b", "03"), "cost 3"),
            (hash("2b", "32"), "cost 32"),
        ] {
            assert!(check_hash(&hash).unwrap_err().to_string().contains(error), "{hash}");
        }
    }
}
