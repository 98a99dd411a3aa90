//! The files beside an ONNX file that hold its tensors.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use embtune_tensors::read_regular;
use prost::Message as _;

use crate::ModelError;

/// Maximum size of an ONNX file in bytes: protobuf's own limit.
const MAX_BYTES: u64 = 2 << 30;

/// The files that hold tensors of the ONNX file `path`, relative to its folder, sorted.
///
/// # Errors
/// The errors of [`names`], or a missing file.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let names = names(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    match names.iter().find(|name| !folder.join(name).is_file()) {
        Some(name) => Err(ModelError::content(path, format!("its data \"{}\" is not beside it", name.display()))),
        None => Ok(names),
    }
}

/// The files that the ONNX file `path` names for its tensors, relative to its folder, sorted.
///
/// # Errors
/// The file cannot be read, is not an ONNX file, or names a file outside its folder.
pub(crate) fn names(path: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let bytes = read_regular(path, MAX_BYTES).map_err(|error| ModelError::io(path, error))?;
    let model = proto::Model::decode(bytes.as_slice())
        .map_err(|_| ModelError::content(path, "is cut short or not an ONNX file"))?;
    if model.graph.is_none() {
        return Err(ModelError::content(path, "is not an ONNX file: it has no graph"));
    }
    let mut locations = BTreeSet::new();
    model.graph.iter().for_each(|graph| graph.collect_locations(&mut locations));
    model.functions.iter().flat_map(|function| &function.node).for_each(|node| node.collect_locations(&mut locations));
    let is_inside = |name: &Path| name.components().all(|part| matches!(part, Component::Normal(_)));
    let check = |name: String| match is_inside(Path::new(&name)) {
        true => Ok(PathBuf::from(name)),
        false => Err(ModelError::content(path, format!("its data \"{name}\" is not in its folder"))),
    };
    locations.into_iter().map(check).collect()
}

/// The messages of `onnx.proto3` that lead to a tensor's `external_data`; all other fields are skipped.
///
/// Source: <https://github.com/onnx/onnx/blob/v1.19.0/onnx/onnx.proto3>.
mod proto {
    use std::collections::BTreeSet;

    #[derive(prost::Message)]
    pub(super) struct Model {
        #[prost(message, optional, tag = "7")]
        pub(super) graph: Option<Graph>,
        #[prost(message, repeated, tag = "25")]
        pub(super) functions: Vec<Function>,
    }

    #[derive(prost::Message)]
    pub(super) struct Function {
        #[prost(message, repeated, tag = "7")]
        pub(super) node: Vec<Node>,
    }

    #[derive(prost::Message)]
    pub(super) struct Graph {
        #[prost(message, repeated, tag = "1")]
        node: Vec<Node>,
        #[prost(message, repeated, tag = "5")]
        initializer: Vec<Tensor>,
        #[prost(message, repeated, tag = "15")]
        sparse_initializer: Vec<SparseTensor>,
    }

    #[derive(prost::Message)]
    pub(super) struct Node {
        #[prost(message, repeated, tag = "5")]
        attribute: Vec<Attribute>,
    }

    #[derive(prost::Message)]
    struct Attribute {
        #[prost(message, optional, tag = "5")]
        t: Option<Tensor>,
        #[prost(message, optional, tag = "6")]
        g: Option<Graph>,
        #[prost(message, repeated, tag = "10")]
        tensors: Vec<Tensor>,
        #[prost(message, repeated, tag = "11")]
        graphs: Vec<Graph>,
        #[prost(message, optional, tag = "22")]
        sparse_tensor: Option<SparseTensor>,
        #[prost(message, repeated, tag = "23")]
        sparse_tensors: Vec<SparseTensor>,
    }

    #[derive(prost::Message)]
    struct SparseTensor {
        #[prost(message, optional, tag = "1")]
        values: Option<Tensor>,
        #[prost(message, optional, tag = "2")]
        indices: Option<Tensor>,
    }

    #[derive(prost::Message)]
    struct Tensor {
        #[prost(message, repeated, tag = "13")]
        external_data: Vec<Entry>,
    }

    #[derive(prost::Message)]
    struct Entry {
        #[prost(string, tag = "1")]
        key: String,
        #[prost(string, tag = "2")]
        value: String,
    }

    impl Graph {
        /// Adds the names of the files that hold tensors of the graph, or of the graphs inside its nodes.
        pub(super) fn collect_locations(&self, locations: &mut BTreeSet<String>) {
            self.initializer.iter().for_each(|tensor| tensor.collect_locations(locations));
            self.sparse_initializer.iter().for_each(|tensor| tensor.collect_locations(locations));
            self.node.iter().for_each(|node| node.collect_locations(locations));
        }
    }

    impl Node {
        pub(super) fn collect_locations(&self, locations: &mut BTreeSet<String>) {
            for attribute in &self.attribute {
                attribute.t.iter().chain(&attribute.tensors).for_each(|tensor| tensor.collect_locations(locations));
                let sparse = attribute.sparse_tensor.iter().chain(&attribute.sparse_tensors);
                sparse.for_each(|tensor| tensor.collect_locations(locations));
                attribute.g.iter().chain(&attribute.graphs).for_each(|graph| graph.collect_locations(locations));
            }
        }
    }

    impl SparseTensor {
        fn collect_locations(&self, locations: &mut BTreeSet<String>) {
            self.values.iter().chain(&self.indices).for_each(|tensor| tensor.collect_locations(locations));
        }
    }

    impl Tensor {
        fn collect_locations(&self, locations: &mut BTreeSet<String>) {
            let location = self.external_data.iter().filter(|entry| entry.key == "location");
            locations.extend(location.map(|entry| entry.value.clone()));
        }
    }
}
