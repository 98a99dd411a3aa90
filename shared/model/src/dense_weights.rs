//! The tensors of the Dense modules, each module's in a file of its own.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use embtune_tensors::{Tensor, TensorFile};

use crate::{Dense, ModelError, Parameter, weights};

/// Mapped weights of every [`Dense`], with the right shapes.
pub struct DenseWeights {
    /// By the stem of the module's names.
    files: Vec<(String, TensorFile)>,
}

impl DenseWeights {
    /// `files` has one for each module.
    pub(crate) fn open(modules: &[Dense], files: impl Iterator<Item = PathBuf>) -> Result<Self, ModelError> {
        let mut opened = Vec::new();
        for (module, path) in modules.iter().zip(files) {
            let file = weights::open(&path)?;
            let mut names = file.names();
            for parameter in module.parameters() {
                let stored = stored_name(&module.name, &parameter.name).unwrap_or_default();
                weights::check(&file, stored, &parameter)?;
                names.retain(|name| name != stored);
            }
            if let Some(name) = names.first() {
                let what = format!("tensor \"{name}\" is not known for a Dense module");
                return Err(ModelError::content(Path::new(file.name()), what));
            }
            opened.push((module.name.clone(), file));
        }
        Ok(Self { files: opened })
    }

    /// A tensor of [`Dense::parameters`]; nothing for a name that is no module's.
    ///
    /// # Errors
    /// When the module has none of this name.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Tensor<'_>>, ModelError> {
        let Some((file, stored)) = self.find(name) else { return Ok(None) };
        Ok(Some(file.require(stored)?))
    }

    /// A tensor of [`Dense::parameters`] as f32, row-major.
    ///
    /// # Errors
    /// When there is none.
    pub fn floats(&self, parameter: &Parameter) -> Result<Cow<'_, [f32]>, ModelError> {
        let missing = || ModelError::content(Path::new(&parameter.name), "belongs to no Dense module");
        let (file, stored) = self.find(&parameter.name).ok_or_else(missing)?;
        let not_floats = |kind| ModelError::content(Path::new(file.name()), format!("tensor \"{stored}\" is {kind}"));
        file.require(stored)?.to_f32().map_err(not_floats)
    }

    /// The file that holds a tensor, and its name there.
    fn find<'a>(&self, name: &'a str) -> Option<(&TensorFile, &'a str)> {
        self.files.iter().find_map(|(stem, file)| Some((file, stored_name(stem, name)?)))
    }
}

/// What a module's own file calls a tensor.
fn stored_name<'a>(stem: &str, name: &'a str) -> Option<&'a str> {
    name.strip_prefix(stem)?.strip_prefix('.')
}
