//! Counts of what was found, each thread its own, added up in the end.

/// Adds counts of a kind field by field.
macro_rules! add_by_field {
    ($counts:ty: $($field:ident),+ $(,)?) => {
        impl std::ops::AddAssign for $counts {
            fn add_assign(&mut self, other: Self) {
                $(self.$field += other.$field;)+
            }
        }
    };
}

pub(crate) use add_by_field;
