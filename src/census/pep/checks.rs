//! The identities that a file of population estimates holds exactly.

use std::collections::HashMap;

use super::{Area, Level, Measure, PUERTO_RICO, Pep};
use crate::{Error, Result};

use Measure::{
    Base, Births, Change, Deaths, Domestic, International, NaturalChange, NetMigration, Population,
    Residual,
};

/// Checks all identities; returns what could not be checked.
pub(super) fn check(pep: &Pep) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    for year in pep.years() {
        let lacking: Vec<&str> = [Births, Deaths, International, Domestic, Residual]
            .iter()
            .copied()
            .filter(|m| !pep.columns.contains_key(&(*m, year)))
            .map(Measure::column)
            .collect();
        if !lacking.is_empty() {
            warnings.push(format!(
                "population {year} was not checked against its components: no column {} of that \
                 year",
                lacking.join(", ")
            ));
        } else if start(pep, year).is_none() {
            warnings.push(format!(
                "population {year} was not checked against its components: no population of {}",
                year - 1
            ));
        }
        for area in &pep.areas {
            rows(pep, area, year)?;
        }
    }
    sums(pep)?;
    let counties = !pep.has_all_states() && pep.has_counties_of_all_states();
    if pep.has_all_states() || counties {
        let (level, parts) =
            if counties { (Level::County, "counties") } else { (Level::State, "51 states") };
        for &(measure, year) in pep.columns.keys().filter(|(measure, _)| *measure == Domestic) {
            let total = pep.total(&level, measure, year);
            if let Some(total) = total.filter(|total| *total != 0) {
                return Err(Error::data(
                    &pep.path,
                    format!(": column {}", pep.columns[&(measure, year)].1),
                    format!("expected a sum of 0 over the {parts}, found {total}"),
                ));
            }
        }
    } else {
        warnings.push(
            "domestic migration was not summed over the nation: the file lacks some states".into(),
        );
    }
    Ok(warnings)
}

/// The column that the change of a year starts from.
fn start(pep: &Pep, year: i32) -> Option<(Measure, i32)> {
    let candidates = if pep.is_partial(year) { [(Base, year)] } else { [(Population, year - 1)] };
    candidates.into_iter().find(|column| pep.columns.contains_key(column))
}

/// The identities within a row and year.
fn rows(pep: &Pep, area: &Area, year: i32) -> Result<()> {
    let sum = |terms: &[(i64, Measure)]| -> Option<i64> {
        terms.iter().map(|&(sign, m)| Some(sign * pep.value(area, m, year)?)).sum()
    };
    let before = start(pep, year).and_then(|(measure, year)| pep.value(area, measure, year));
    let moves = [(1, International), (1, Domestic)];
    let natural = [(1, Births), (-1, Deaths)];
    let all = [natural.as_slice(), &moves, &[(1, Residual)]].concat();
    let plus = |value: Option<i64>, other: Option<i64>| Some(value? + other?);
    for (measure, expected, what) in [
        (
            Population,
            plus(before, sum(&all)),
            "the population before + births - deaths + international + domestic + residual",
        ),
        (NetMigration, sum(&moves), "international + domestic migration"),
        (NaturalChange, sum(&natural), "births - deaths"),
        (
            Change,
            plus(pep.value(area, Population, year), before.map(|b| -b)),
            "the difference of populations",
        ),
    ] {
        let (Some(found), Some(expected)) = (pep.value(area, measure, year), expected) else {
            continue;
        };
        if found != expected {
            let name = &pep.columns[&(measure, year)].1;
            let place = format!(":{}: column {name}", area.line);
            let difference = found - expected;
            let problem = format!(
                "expected {what} = {expected} for `{}`, found {found}, {difference:+} off",
                area.geoid
            );
            return Err(Error::data(&pep.path, place, problem));
        }
    }
    Ok(())
}

/// Counties sum to their state where the file has both, states to the nation.
fn sums(pep: &Pep) -> Result<()> {
    let whole_of = |area: &Area| match area.level {
        Some(Level::County) => area.geoid.as_str().get(..2).map(str::to_owned),
        // Estimates of the nation leave out Puerto Rico.
        Some(_) if area.geoid.as_str() != PUERTO_RICO => Some(Pep::NATION.to_owned()),
        _ => None,
    };
    let mut totals: HashMap<String, Vec<Option<i64>>> = HashMap::new();
    for area in &pep.areas {
        let Some(whole) = whole_of(area) else { continue };
        let total = totals.entry(whole).or_insert_with(|| vec![Some(0); pep.columns.len()]);
        for (total, value) in total.iter_mut().zip(&area.values) {
            *total = total.zip(*value).map(|(total, value)| total + value);
        }
    }
    for area in &pep.areas {
        let Some(total) = totals.get(area.geoid.as_str()) else { continue };
        let parts = if area.level.is_none() { "states" } else { "counties" };
        for (at, name) in pep.columns.values() {
            if let (Some(value), Some(total)) = (area.values[*at], total[*at])
                && value != total
            {
                return Err(Error::data(
                    &pep.path,
                    format!(":{}: column {name}", area.line),
                    format!(
                        "expected the sum of the {parts} of `{}`, {total}, found {value}; are \
                         {parts} missing?",
                        area.geoid
                    ),
                ));
            }
        }
    }
    Ok(())
}
