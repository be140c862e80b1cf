//! Addresses to areas: answers of the Census batch geocoder, and points in polygons.

pub mod areas;
pub mod boundaries;
