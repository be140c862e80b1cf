//! What the two ends of a flow are.

use std::collections::HashMap;

use crate::geography::Geoid;

/// One end of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A county of the 50 states and DC.
    County(Geoid),
    /// A foreign region, the island areas, or a municipio of Puerto Rico (`San Juan Municipio,
    /// Puerto Rico`).
    Outside(String),
}

/// What is outside, by the names of its region and of its part, if it has one.
fn outside(region: &str, part: &str) -> Place {
    Place::Outside(match part {
        "" | "-" => region.to_owned(),
        part => format!("{part}, {region}"),
    })
}

/// The place of a state code (2 or 3 digits, letters for foreign regions) and a county code. The
/// names of both are used for what is outside; an error is what was expected and found.
pub(super) fn by_codes(
    [state, county]: [&str; 2],
    [region, part]: [&str; 2],
) -> Result<Place, String> {
    let outside = || outside(if region.is_empty() { state } else { region }, part);
    let Ok(number) = state.parse::<u32>() else {
        return if state.is_empty() {
            Err("expected a state or region code, found none".into())
        } else {
            Ok(outside())
        };
    };
    if !(1..=56).contains(&number) {
        return Ok(outside());
    }
    match county.parse::<u32>() {
        Ok(code) if (1..1000).contains(&code) => {
            Ok(Place::County(Geoid::new(format!("{number:02}{code:03}"))))
        }
        _ => Err(format!("expected a county code of 3 digits, found `{county}`")),
    }
}

/// Codes of counties by the names of state and county; upper and lower case are the same.
#[derive(Clone, Debug)]
pub struct CountyNames(HashMap<(String, String), Geoid>);

impl CountyNames {
    /// From (state, county) to code, such as (`Georgia`, `Appling County`) to `13001`.
    ///
    /// # Errors
    /// If two names differ in case only; the message has them.
    pub fn new(names: impl IntoIterator<Item = ((String, String), Geoid)>) -> Result<Self, String> {
        let mut codes = Self(HashMap::new());
        for ((state, county), code) in names {
            codes.add(&state, &county, &code)?;
        }
        Ok(codes)
    }

    /// Adds a county, such as one that a table of another vintage lacks.
    ///
    /// # Errors
    /// If the name is known, in whatever case.
    pub fn add(&mut self, state: &str, county: &str, code: &Geoid) -> Result<(), String> {
        match self.0.insert(key(state, county), code.clone()) {
            None => Ok(()),
            Some(other) => Err(format!(
                "expected each name once, found `{county}` in `{state}` for {other} and {code}"
            )),
        }
    }

    /// The place of a name. Foreign regions have a dash for a county.
    pub(super) fn find(&self, state: &str, county: &str) -> Option<Place> {
        if county == "-" || state == "Puerto Rico" {
            return Some(outside(state, county));
        }
        self.0.get(&key(state, county)).cloned().map(Place::County)
    }
}

fn key(state: &str, county: &str) -> (String, String) {
    (state.to_lowercase(), county.to_lowercase())
}
