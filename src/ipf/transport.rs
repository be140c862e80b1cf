//! temporary
pub struct Bipartite<'a> {
    pub left: &'a [f64],
    pub right: &'a [f64],
    pub row_ptr: &'a [u64],
    pub col_idx: &'a [u32],
}
pub struct Deficit {
    pub left: Vec<u32>,
    pub right: Vec<u32>,
    pub needed: f64,
    pub available: f64,
}
pub fn left_deficit(_g: &Bipartite, _t: f64) -> Option<Deficit> {
    None
}
