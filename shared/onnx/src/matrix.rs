//! A weight matrix in memory.

/// A weight matrix `[out, in]`, row-major.
pub(crate) struct Matrix {
    pub(crate) values: Vec<f32>,
    pub(crate) columns: usize,
}

impl Matrix {
    /// Number of outputs.
    pub(crate) fn rows(&self) -> usize {
        self.values.len() / self.columns.max(1)
    }

    /// The weights of each output.
    pub(crate) fn by_row(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.columns.max(1))
    }

    /// Stacks matrices on top of each other, after multiplying each column by its factor.
    pub(crate) fn stacked(matrices: &[Self], column_factors: Option<&[f32]>) -> Self {
        let mut stacked = Self { values: Vec::new(), columns: 0 };
        for matrix in matrices {
            stacked.columns = matrix.columns;
            match column_factors {
                None => stacked.values.extend(&matrix.values),
                Some(factors) => {
                    let scaled = matrix.by_row().flat_map(|row| row.iter().zip(factors).map(|(w, factor)| w * factor));
                    stacked.values.extend(scaled);
                }
            }
        }
        stacked
    }
}
