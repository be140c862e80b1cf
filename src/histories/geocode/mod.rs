//! Addresses to areas: the Census batch geocoder, and points in polygons.

pub mod answer;
pub mod areas;
pub mod boundaries;
pub mod collect;
mod polygon;
pub mod upload;
