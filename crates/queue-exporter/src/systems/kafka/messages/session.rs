//! Requests at the start of a connection: supported versions, and authentication.

use anyhow::Result;

use super::{Api, Request};
use crate::systems::kafka::wire::{Reader, Writer};

pub(in crate::systems::kafka) struct ApiVersions;

/// The ranges of versions: key, smallest and largest version.
pub(in crate::systems::kafka) struct SupportedVersions {
    pub(in crate::systems::kafka) error: i16,
    pub(in crate::systems::kafka) ranges: Vec<(i16, i16, i16)>,
}

impl Request for ApiVersions {
    const API: Api = Api { key: 18, name: "ApiVersions", min: 0, max: 0 };
    type Response = SupportedVersions;

    fn write(&self, _: i16, _: &mut Writer) {}

    fn read(&self, _: i16, from: &mut Reader<'_>) -> Result<SupportedVersions> {
        let error = from.i16()?;
        Ok(SupportedVersions { error, ranges: from.array(|from| Ok((from.i16()?, from.i16()?, from.i16()?)))? })
    }
}

/// The name of a mechanism.
pub(in crate::systems::kafka) struct SaslHandshake(pub(in crate::systems::kafka) &'static str);

impl Request for SaslHandshake {
    const API: Api = Api { key: 17, name: "SaslHandshake", min: 1, max: 1 };
    /// An error code, and the mechanisms that the broker offers.
    type Response = (i16, Vec<String>);

    fn write(&self, _: i16, to: &mut Writer) {
        to.string(self.0);
    }

    fn read(&self, _: i16, from: &mut Reader<'_>) -> Result<(i16, Vec<String>)> {
        Ok((from.i16()?, from.array(Reader::name)?))
    }
}

/// A message of the mechanism.
pub(in crate::systems::kafka) struct SaslAuthenticate(pub(in crate::systems::kafka) Vec<u8>);

impl Request for SaslAuthenticate {
    const API: Api = Api { key: 36, name: "SaslAuthenticate", min: 0, max: 0 };
    /// An error code with its text, and the server's message.
    type Response = (i16, Option<String>, Vec<u8>);

    fn write(&self, _: i16, to: &mut Writer) {
        to.bytes(&self.0);
    }

    fn read(&self, _: i16, from: &mut Reader<'_>) -> Result<(i16, Option<String>, Vec<u8>)> {
        Ok((from.i16()?, from.string()?.map(str::to_owned), from.bytes()?.to_vec()))
    }
}
