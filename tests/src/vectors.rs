//! Files of vectors, as `embed` writes them.

use std::fs::File;

use embtune_tensors::{EmbeddingsMeta, EmbeddingsWriter, VectorType};

use crate::Folder;

impl Folder {
    /// Writes a file of vectors, made with this role.
    pub fn write_vectors(&self, name: &str, role: &str, rows: &[(&str, &[f32])]) {
        self.write_vectors_of("model", name, role, rows);
    }

    /// Writes a file of vectors, made by this model with this role.
    pub fn write_vectors_of(&self, model: &str, name: &str, role: &str, rows: &[(&str, &[f32])]) {
        let mut writer = EmbeddingsWriter::new(self.root(), rows[0].1.len(), VectorType::F32).unwrap();
        for (id, vector) in rows {
            writer.push(id, vector).unwrap();
        }
        let meta = EmbeddingsMeta {
            model: model.into(),
            pooling: "mean".into(),
            role: Some(role.into()),
            ..EmbeddingsMeta::default()
        };
        writer.finish(meta, &mut File::create(self.path(name)).unwrap()).unwrap();
    }
}
