//! The matrix of a year against the formula, with A and G written out.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sprs::{CsMat, TriMat};

use super::*;
use crate::census::hud::ZipTracts;
use crate::geography::{Geography, Geoid};
use crate::histories::crosswalk::{PlacesBuilder, UnitCodes};
use crate::histories::date::Date;
use crate::histories::mass::persons;
use crate::histories::places::{Location, Zip};
use crate::histories::record::Category;
use crate::histories::tasks;
use crate::matrix::{FlowMatrix, Room};

/// Number of years from 2011 on.
const YEARS: usize = 4;

fn years() -> Years {
    Years::new(2011, 2014)
}

/// Three tracts of two to four block groups, and two quarters of ZIP codes over them.
fn places() -> Places {
    let codes = [11, 12, 21, 22, 23, 24, 31, 32, 33];
    let codes = codes.map(|code| Geoid::new(format!("0100100{:04}{}", code / 10, code % 10)));
    let units = Geography::new(codes.to_vec()).unwrap();
    let codes = UnitCodes::new(&units).unwrap();
    let populations = [10.0, 30.0, 7.0, 5.0, 0.0, 11.0, 0.0, 0.0, 0.0];
    let mut builder = PlacesBuilder::new(&codes, Some(&populations));
    let folder = tempfile::tempdir().unwrap();
    let tract = |k: usize| units.geoids()[[0, 2, 6][k]].as_str()[..11].to_owned();
    for (quarter, ratios) in [(8045, [0.25, 0.5, 0.25]), (8050, [0.0, 0.1, 0.8])] {
        let path = folder.path().join("zip.csv");
        let row = |k| format!("12345,{},{}\n", tract(k), ratios[k]);
        let rows = [0, 1, 2].map(row).concat();
        let other = format!("54321,{},1\n", tract(0));
        std::fs::write(&path, format!("ZIP,TRACT,RES_RATIO\n{rows}{other}")).unwrap();
        builder.add(quarter, &ZipTracts::read(&path).unwrap());
    }
    builder.finish().0
}

/// Persons with up to 5 of 12 addresses, some of them in ZIP codes or unknown.
fn people(places: &Places, count: usize) -> Vec<Vec<Residence>> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let location = |address: u64| match address {
        0..9 => Location::unit(address as u32),
        9 => Location::zip(Zip::parse("12345").unwrap()),
        10 => Location::zip(Zip::parse("54321").unwrap()),
        11 => Location::UNKNOWN,
        _ => Location::TERRITORY,
    };
    let residence = |rng: &mut ChaCha8Rng| {
        let (year, month) = (rng.random_range(2009..2015), rng.random_range(1..=12));
        let date = Date::new(year, month, rng.random_range(1..=28));
        let address = rng.random_range(0..13);
        let category = if rng.random_bool(0.1) { Category::PoBox } else { Category::Other };
        Residence { date, address, category, place: places.at(location(address), date) }
    };
    let mut person = || {
        let mut records: Vec<Residence> =
            (0..rng.random_range(1..=5)).map(|_| residence(&mut rng)).collect();
        if records.len() > 1 && rng.random_bool(0.3) {
            records[1].date = records[0].date;
            records[1].place = places.at(location(records[1].address), records[1].date);
        }
        records
    };
    (0..count).map(|_| person()).collect()
}

/// What a run finds: the matrices, and who was left out.
type Found = (Vec<FlowMatrix<f64>>, Vec<LeftOut>, Vec<u64>);

fn sum(places: &Places, people: &[Vec<Residence>], threads: usize, size_bytes: u64) -> Found {
    let folder = tempfile::tempdir().unwrap();
    let memory = Memory::new(size_bytes, folder.path().to_owned());
    let room = Room::limited(size_bytes, folder.path().to_owned());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let sums = FlowSums::new(places, years(), &memory);
        let chunks: Vec<&[Vec<Residence>]> = people.chunks(50).collect();
        let askers = tasks::each(
            chunks.len(),
            threads,
            || Asker::new(&sums),
            |asker, chunk| {
                chunks[chunk]
                    .iter()
                    .try_for_each(|person| asker.ask(Listed::default(), &mut person.clone()))
            },
        );
        let (mut left_out, mut days) = (vec![LeftOut::default(); YEARS], vec![0; YEARS]);
        for asker in askers.unwrap() {
            let (survey, own) = asker.finish().unwrap();
            left_out.iter_mut().zip(own).for_each(|(all, own)| *all += own);
            days.iter_mut().zip(survey.year_counts).for_each(|(all, own)| *all += own.days);
        }
        let years = 0..YEARS;
        let matrices = years.map(|year| sums.take_year(year, size_bytes, &memory, &room).unwrap());
        (matrices.collect(), left_out, days)
    })
}

/// `G' (A - diag A) G + diag(G' diag(A))`, with a row of A and of G per address and place.
fn by_formula(places: &Places, people: &[Vec<Residence>]) -> Vec<CsMat<f64>> {
    let mut nodes = BTreeMap::new();
    let mut entries = vec![Vec::new(); YEARS];
    let mut survey = Survey::new(years());
    for person in people {
        survey
            .ask(Listed::default(), &mut person.clone(), |answer| {
                let mut node = |residence: &Residence| {
                    let next = nodes.len();
                    *nodes.entry((residence.address, residence.place)).or_insert(next)
                };
                let (before, now) = (answer.before.len() as f64, answer.now.len() as f64);
                let weight = f64::from(answer.days) / 365.0;
                let entries = &mut entries[answer.year];
                if answer.stayed {
                    entries.extend(answer.now.iter().map(|a| (node(a), node(a), weight / now)));
                } else {
                    for a in answer.before {
                        for b in answer.now {
                            let from = if a.address == b.address { node(b) } else { node(a) };
                            entries.push((from, node(b), weight / before / now));
                        }
                    }
                }
                Ok::<(), ()>(())
            })
            .unwrap();
    }
    let mut g = TriMat::new((nodes.len(), places.units()));
    for (&(_, place), &row) in &nodes {
        if place < Place::TERRITORY {
            places.for_each(place, |unit, share| g.add_triplet(row, unit as usize, share));
        }
    }
    let g: CsMat<f64> = g.to_csr();
    let formula = |entries: Vec<(usize, usize, f64)>| {
        let mut movers = TriMat::new((nodes.len(), nodes.len()));
        let mut stayers = vec![0.0; nodes.len()];
        for (a, b, weight) in entries {
            if a == b {
                stayers[a] += weight;
            } else {
                movers.add_triplet(a, b, weight);
            }
        }
        let movers: CsMat<f64> = movers.to_csr();
        let moved = &(&g.transpose_view().to_csr() * &movers) * &g;
        let mut diagonal = TriMat::new((places.units(), places.units()));
        for (&share, (row, unit)) in &g {
            diagonal.add_triplet(unit, unit, share * stayers[row]);
        }
        &moved + &diagonal.to_csr::<usize>()
    };
    entries.into_iter().map(formula).collect()
}

#[test]
fn every_year_is_the_formula() {
    let places = places();
    let people = people(&places, 400);
    let (matrices, left_out, days) = sum(&places, &people, 2, u64::MAX);
    for (year, expected) in by_formula(&places, &people).iter().enumerate() {
        let found = matrices[year].to_sprs();
        assert!(found.nnz() > 60, "{}", found.nnz());
        for i in 0..places.units() {
            for j in 0..places.units() {
                let at = |matrix: &CsMat<f64>| matrix.get(i, j).copied().unwrap_or(0.0);
                let (found, expected) = (at(&found), at(expected));
                let difference = (found - expected).abs();
                assert!(difference <= 1e-12 * expected, "{year}: {i}, {j}: {found}, {expected}");
            }
        }
        // Nobody is lost.
        let total: f64 = found.iter().map(|(flow, _)| flow).sum();
        let out = persons(left_out[year].unknown) + persons(left_out[year].territory);
        let asked = days[year] as f64 / 365.0;
        assert!(out > 1.0 && (total + out - asked).abs() <= 1e-12 * asked, "{total} {out} {asked}");
    }
}

#[test]
fn the_same_bits_for_any_threads_and_memory() {
    let places = places();
    let mut people = people(&places, 3000);
    let expected = sum(&places, &people, 1, u64::MAX);
    for (threads, size_bytes) in [(2, u64::MAX), (8, 100_000), (1, 1000), (2, 0)] {
        people.rotate_left(701);
        assert!(sum(&places, &people, threads, size_bytes) == expected, "{threads}, {size_bytes}");
    }
}
