//! Made-up ZIP codes, and HUD's crosswalk of them to tracts.
//!
//! A ZIP code is where the nation has one: consecutive tracts of a county. But as real ones do not end
//! at tracts or county lines, the last tract of every other ZIP shares its addresses with the next one
//! of the state, which may lie in another county.

use std::fmt::Write as _;
use std::ops::Range;

use super::Truth;
use crate::synth::random::{Purpose, Stream};

/// The first code, with leading zeros as those of New England.
const FIRST_CODE: u32 = 501;
/// Most ZIPs that there are codes of 5 digits for.
pub(super) const MOST_ZIPS: u32 = 100_000 - FIRST_CODE;
/// Share of the ZIPs whose last tract is shared with the next one.
const SHARING: f64 = 0.5;
/// Of its addresses, at most this share has the next ZIP code.
const MOST_SHARED: f64 = 0.4;

/// ZIP codes of addresses.
#[derive(Debug)]
pub(super) struct Zips {
    /// Code of each unit's addresses but for those that share.
    code: Vec<u32>,
    /// Share of each unit's addresses that have the next code.
    next_share: Vec<f64>,
    /// Units of each tract.
    tracts: Vec<Range<usize>>,
}

impl Zips {
    /// ZIP codes of a nation.
    pub fn new(truth: &Truth, seed: u64) -> Self {
        let geoids = truth.units.geoids();
        let prefix = |unit: usize, digits: usize| &geoids[unit].as_str()[..digits];
        let code = truth.zip.iter().map(|zip| FIRST_CODE + zip).collect();
        let mut tracts: Vec<Range<usize>> = Vec::new();
        for unit in 0..geoids.len() {
            match tracts.last_mut() {
                Some(tract) if prefix(tract.start, 11) == prefix(unit, 11) => tract.end += 1,
                _ => tracts.push(unit..unit + 1),
            }
        }
        let mut next_share = vec![0.0; geoids.len()];
        // Stream 0 is of no unit.
        let mut stream = Stream::new(seed, Purpose::Addresses, 0);
        for pair in tracts.windows(2) {
            let (last, next) = (pair[0].end - 1, pair[1].start);
            let (shares, share) = (stream.uniform() < SHARING, stream.between(0.0, MOST_SHARED));
            let neighbors = truth.zip[next] == truth.zip[last] + 1;
            if shares && neighbors && prefix(last, 2) == prefix(next, 2) {
                next_share[pair[0].clone()].fill(share);
            }
        }
        Self { code, next_share, tracts }
    }

    /// ZIP code of an address, by where it is among those of its unit: from 0 to 1.
    pub fn code(&self, unit: usize, at: f64) -> u32 {
        self.code[unit] + u32::from(at < self.next_share[unit])
    }

    /// ZIP codes in all.
    pub fn count(&self) -> usize {
        self.code.chunk_by(|a, b| a == b).count()
    }

    /// The crosswalk of a quarter in which these persons live in the units.
    pub fn crosswalk(&self, truth: &Truth, population: &[u32]) -> String {
        // Code, tract and persons.
        let mut rows: Vec<(u32, &str, f64)> = Vec::new();
        for tract in &self.tracts {
            let geoid = &truth.units.geoids()[tract.start].as_str()[..11];
            let persons: f64 = population[tract.clone()].iter().map(|&n| f64::from(n)).sum();
            let (code, next) = (self.code[tract.start], self.next_share[tract.start]);
            rows.push((code, geoid, persons * (1.0 - next)));
            if next > 0.0 {
                rows.push((code + 1, geoid, persons * next));
            }
        }
        rows.sort_by_key(|row| row.0);
        let mut text = "ZIP,TRACT,RES_RATIO,BUS_RATIO,OTH_RATIO,TOT_RATIO\n".to_owned();
        for zip in rows.chunk_by(|a, b| a.0 == b.0) {
            let sum: f64 = zip.iter().map(|row| row.2).sum();
            for (code, tract, persons) in zip {
                let ratio = if sum > 0.0 { persons / sum } else { 0.0 };
                writeln!(text, "{code:05},{tract},{ratio:.9},0,0,{ratio:.9}")
                    .expect("writing to a string does not fail");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::census::hud::ZipTracts;
    use crate::synth::histories::tests::truth;

    #[test]
    fn the_crosswalk_says_where_the_addresses_of_a_zip_code_are() {
        let truth = truth(400);
        let zips = Zips::new(&truth, 5);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ZIP_TRACT_122010.csv");
        std::fs::write(&path, zips.crosswalk(&truth, &truth.populations[0])).unwrap();
        let table = ZipTracts::read(&path).unwrap();
        assert_eq!((table.len(), &table.off), (zips.count(), &vec![]));

        // A thousand addresses of each unit, one for each thousandth of its persons.
        let mut persons: BTreeMap<String, BTreeMap<&str, f64>> = BTreeMap::new();
        for (unit, geoid) in truth.units.geoids().iter().enumerate() {
            let each = f64::from(truth.populations[0][unit]) / 1000.0;
            for number in 0..1000 {
                let code = format!("{:05}", zips.code(unit, f64::from(number) / 1000.0));
                let tract = &geoid.as_str()[..11];
                *persons.entry(code).or_default().entry(tract).or_default() += each;
            }
        }
        let mut of_several_counties = 0;
        for (code, tracts) in table.iter() {
            let sum: f64 = persons[code].values().sum();
            for (tract, ratio) in tracts {
                let expected = persons[code][tract.as_str()] / sum;
                assert!((ratio - expected).abs() < 0.003, "{code} {tract}: {ratio}, {expected}");
            }
            let county = |tract: usize| &tracts[tract].0.as_str()[..5];
            of_several_counties += usize::from(county(0) != county(tracts.len() - 1));
        }
        assert!(table.len() > 40 && of_several_counties > 0, "{of_several_counties} ZIP codes");
        assert!(table.iter().all(|(code, _)| code.starts_with("00")));
    }
}
