//! Which module of a crate names which, read from its sources; circles among sibling modules.
//!
//! Sources are read as tokens, so comments, strings and line breaks play no part, and paths inside macro calls count.
//! Only modules that a `mod` declares are read, and nothing under `#[cfg(test)]`. A name is followed through the `use`
//! that brings it into a module: with `pub use parser::Parser` in lib.rs, `crate::Parser` names the module `parser`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};

/// The way from the root of a crate to a module or an item: `["network", "lora"]` is `crate::network::lora`.
type Names = Vec<String>;

/// The modules of one crate.
pub(crate) struct Modules {
    /// The folder of the sources, from which places are given.
    src: PathBuf,
    /// The declarations and uses of each module.
    modules: BTreeMap<Names, Module>,
}

#[derive(Default)]
struct Module {
    /// Each name that a `use` brings in, with its full path.
    imports: BTreeMap<String, Names>,
    /// Each path in the module, as it is written, with its file and line.
    paths: Vec<(Names, String)>,
}

/// One module naming another one of the same crate.
pub(crate) struct Reference {
    /// The module that has the path in it.
    pub(crate) from: Names,
    /// The module in which the path ends.
    pub(crate) to: Names,
    /// The location of the path, and its text.
    pub(crate) place: String,
}

impl Modules {
    /// Reads a crate by its `src` folder.
    ///
    /// # Panics
    /// When the folder has neither lib.rs nor main.rs, when a declared module has no file, and when a file is not Rust.
    pub(crate) fn read(src: &Path) -> Self {
        let roots = ["lib.rs", "main.rs"].map(|name| src.join(name));
        let root = roots.iter().find(|root| root.exists()).unwrap_or_else(|| panic!("{}: no crate", src.display()));
        let mut modules = Self { src: src.to_owned(), modules: BTreeMap::new() };
        modules.read_file(root, src, Vec::new());
        modules
    }

    /// Reads a file and the modules that it declares, whose files are in `folder`.
    fn read_file(&mut self, file: &Path, folder: &Path, name: Names) {
        let source = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let tokens: TokenStream = source.parse().unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.modules.insert(name.clone(), Module::default());
        Reader { modules: self, file, folder: folder.to_owned(), name }.items(tokens);
    }

    /// Every path that leads from one module of the crate to another.
    pub(crate) fn references(&self) -> Vec<Reference> {
        let mut references = Vec::new();
        for (from, module) in &self.modules {
            for (path, place) in &module.paths {
                if let Some(to) = self.resolve(from, path, &mut BTreeSet::new()).filter(|to| to != from) {
                    references.push(Reference {
                        from: from.clone(),
                        to,
                        place: format!("{place} {}", path.join("::")),
                    });
                }
            }
        }
        references
    }

    /// The module in which a path ends that is written in `module`; nothing if it leads out of the crate.
    ///
    /// `under_way` has the imports that are being followed: two that import each other's name lead nowhere.
    fn resolve(&self, module: &[String], path: &[String], under_way: &mut BTreeSet<(Names, String)>) -> Option<Names> {
        let (first, mut rest) = path.split_first()?;
        let mut at = match first.as_str() {
            "crate" => Vec::new(),
            "self" => module.to_vec(),
            "super" => module.split_last()?.1.to_vec(),
            _ => {
                rest = path;
                module.to_vec()
            }
        };
        // A first name that is neither imported nor a module here is another crate's, a type or a function.
        let mut is_known = rest.len() < path.len();
        while let Some((next, after)) = rest.split_first() {
            let child = [at.as_slice(), std::slice::from_ref(next)].concat();
            if next == "super" {
                at.pop()?;
            } else if self.modules.contains_key(&child) {
                at = child;
            } else if let Some(import) = self.modules.get(&at)?.imports.get(next)
                && under_way.insert((at.clone(), next.clone()))
            {
                at = self.resolve(&at, import, under_way)?;
            } else {
                break;
            }
            is_known = true;
            rest = after;
        }
        is_known.then_some(at)
    }

    /// The circles among sibling modules, at every level: each is a text with its modules, and a place for each arrow.
    pub(crate) fn circles(&self) -> Vec<String> {
        // For each parent, which child names which, and where it does so first.
        let mut levels: BTreeMap<Names, BTreeMap<(String, String), String>> = BTreeMap::new();
        for Reference { from, to, place } in self.references() {
            let shared = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
            if let (Some(a), Some(b)) = (from.get(shared), to.get(shared)) {
                let arrows = levels.entry(from[..shared].to_vec()).or_default();
                arrows.entry((a.clone(), b.clone())).or_insert(place);
            }
        }
        let mut circles = Vec::new();
        for (parent, arrows) in levels {
            let mut seen = BTreeSet::new();
            for (start, _) in arrows.keys() {
                let reaching_back = |name: &&String| reachable(name, &arrows).contains(start);
                let circle: BTreeSet<String> =
                    reachable(start, &arrows).iter().filter(reaching_back).cloned().collect();
                if circle.is_empty() || !seen.insert(circle.clone()) {
                    continue;
                }
                let mut text = format!("crate::{}", [parent.as_slice(), &[format!("{circle:?}")]].concat().join("::"));
                for ((from, to), place) in &arrows {
                    if circle.contains(from) && circle.contains(to) {
                        text += &format!("\n    {from} -> {to}: {place}");
                    }
                }
                circles.push(text);
            }
        }
        circles
    }
}

/// All that can be reached from a name by one arrow or more.
fn reachable(from: &str, arrows: &BTreeMap<(String, String), String>) -> BTreeSet<String> {
    let (mut found, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
    while let Some(name) = open.pop() {
        for (_, to) in arrows.keys().filter(|(from, _)| *from == name) {
            if found.insert(to.clone()) {
                open.push(to.clone());
            }
        }
    }
    found
}

/// Reads the tokens of one module.
struct Reader<'a> {
    modules: &'a mut Modules,
    file: &'a Path,
    /// Where the files of modules are that this one declares.
    folder: PathBuf,
    name: Names,
}

impl Reader<'_> {
    fn items(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut rest = tokens.as_slice();
        // `pub(in crate::network)` says who may use an item, and uses nothing.
        if rest.first().is_some_and(|token| is_ident(token, "in")) {
            return;
        }
        while !rest.is_empty() {
            rest = self.item(rest);
        }
    }

    /// Reads the next item, and returns the remaining tokens.
    fn item<'t>(&mut self, tokens: &'t [TokenTree]) -> &'t [TokenTree] {
        match tokens {
            [hash, TokenTree::Group(attribute), rest @ ..] if is_punct(hash, '#') && is_test(attribute.stream()) => {
                after_item(rest)
            }
            [word, TokenTree::Ident(name), end, rest @ ..] if is_ident(word, "mod") => {
                self.module(&name.to_string(), end);
                rest
            }
            // Not the `use<'a>` of a bound.
            [word, next, ..] if is_ident(word, "use") && !is_punct(next, '<') => {
                let end = tokens.iter().position(|token| is_punct(token, ';')).unwrap_or(tokens.len());
                self.imports(&tokens[1..end], &[]);
                &tokens[end..]
            }
            [TokenTree::Ident(_), ..] => {
                let (path, rest) = path(tokens);
                self.name_path(path, tokens[0].span());
                rest
            }
            // A path that begins with `::` is that of another crate.
            [first, second, rest @ ..] if is_punct(first, ':') && is_punct(second, ':') => path(rest).1,
            [TokenTree::Group(group), rest @ ..] => {
                self.items(group.stream());
                rest
            }
            [_, rest @ ..] => rest,
            [] => tokens,
        }
    }

    /// A declared module: in braces, or in a file.
    fn module(&mut self, name: &str, end: &TokenTree) {
        let folder = self.folder.join(name);
        let name = [self.name.as_slice(), &[name.to_owned()]].concat();
        if let TokenTree::Group(body) = end {
            self.modules.modules.insert(name.clone(), Module::default());
            Reader { modules: self.modules, file: self.file, folder, name }.items(body.stream());
        } else {
            let files = [folder.with_extension("rs"), folder.join("mod.rs")];
            let file = files.iter().find(|file| file.exists());
            let file = file.unwrap_or_else(|| panic!("{}: mod {}: no file", self.file.display(), name.join("::")));
            self.modules.read_file(file, &folder, name);
        }
    }

    /// The paths of a `use`, whose braces share the prefix before them.
    fn imports(&mut self, tokens: &[TokenTree], prefix: &[String]) {
        let Some(first) = tokens.first() else { return };
        // `use ::name` is another crate.
        if prefix.is_empty() && is_punct(first, ':') {
            return;
        }
        let (path, rest) = path(tokens);
        let mut path = [prefix, &path].concat();
        match rest {
            [TokenTree::Group(group)] => {
                let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
                for tree in tokens.split(|token| is_punct(token, ',')) {
                    self.imports(tree, &path);
                }
            }
            [word, TokenTree::Ident(name)] if is_ident(word, "as") => {
                self.import(name.to_string(), path, first.span());
            }
            _ => {
                // `{self}` is the prefix before the braces. A `*` is left in `rest`: the path ends at its module.
                path.pop_if(|last| last == "self" && !prefix.is_empty());
                self.import(path.last().cloned().unwrap_or_default(), path, first.span());
            }
        }
    }

    fn import(&mut self, name: String, path: Names, span: Span) {
        let module = self.modules.modules.get_mut(&self.name).expect("the module is being read");
        module.imports.insert(name, path.clone());
        self.name_path(path, span);
    }

    fn name_path(&mut self, path: Names, span: Span) {
        let file = self.file.strip_prefix(&self.modules.src).unwrap_or(self.file);
        let place = format!("src/{}:{}", file.display(), span.start().line);
        let module = self.modules.modules.get_mut(&self.name).expect("the module is being read");
        module.paths.push((path, place));
    }
}

/// The names at the beginning of tokens, as far as `::` joins them, and the tokens after them and after a last `::`.
fn path(mut tokens: &[TokenTree]) -> (Names, &[TokenTree]) {
    let mut names = Vec::new();
    while let [TokenTree::Ident(name), rest @ ..] = tokens {
        names.push(name.to_string());
        let [first, second, after @ ..] = rest else { return (names, rest) };
        if !(is_punct(first, ':') && is_punct(second, ':')) {
            return (names, rest);
        }
        tokens = after;
    }
    (names, tokens)
}

/// Whether an attribute, the tokens in its brackets, lets an item be there in tests only.
fn is_test(attribute: TokenStream) -> bool {
    let text = attribute.to_string().replace(' ', "");
    text == "cfg(test)" || text.starts_with("cfg(all(test,")
}

/// The tokens after an item.
fn after_item(tokens: &[TokenTree]) -> &[TokenTree] {
    let is_use = tokens.iter().find(|token| matches!(token, TokenTree::Ident(word) if word != "pub"));
    let has_braces = !is_use.is_some_and(|word| is_ident(word, "use"));
    let is_end = |token: &TokenTree| match token {
        TokenTree::Group(group) => has_braces && group.delimiter() == Delimiter::Brace,
        token => is_punct(token, ';'),
    };
    let end = tokens.iter().position(is_end);
    end.map_or(&[], |end| &tokens[end + 1..])
}

fn is_ident(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == word)
}

fn is_punct(token: &TokenTree, mark: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == mark)
}

#[cfg(test)]
mod tests {
    use embtune_tests::Folder;

    use super::Modules;

    /// A made-up crate of these files.
    fn made_up(files: &[(&str, &str)]) -> Modules {
        let folder = Folder::new();
        for (name, source) in files {
            std::fs::create_dir_all(folder.path(name).parent().unwrap()).unwrap();
            folder.write(name, source);
        }
        Modules::read(folder.root())
    }

    /// The circles of a crate with the modules `a` and `b`.
    fn circles(root: &str, a: &str, b: &str) -> Vec<String> {
        made_up(&[("lib.rs", &format!("mod a; mod b; {root}")), ("a.rs", a), ("b.rs", b)]).circles()
    }

    #[test]
    fn two_modules_that_name_each_other_are_a_circle() {
        let names_b = [
            "use crate::b::B;",
            "use super::b::{B, C};",
            "use crate::{b::B as C, b::D};",
            "use crate::b::{self, B};",
            "use crate::b;",
            "use super::{b::*};",
            "fn f() { let _ = vec![crate::b::B::new()]; }",
            "#[arg(value_parser = super::b::parse)] struct S;",
            "mod inner { use super::super::b::B; }",
            "mod inner { fn f() { crate::b::f() } }",
            "fn f() -> impl Iterator + use<'a> { crate::b::f() }",
        ];
        for a in names_b {
            assert_eq!(circles("", a, "use crate::a::A;").len(), 1, "{a}");
            assert_eq!(circles("", a, "use crate::A;").len(), 0, "{a}");
            assert_eq!(circles("pub use a::A;", a, "use crate::A;").len(), 1, "{a}: by the name in lib.rs");
            assert_eq!(circles("use self::a::A as Z;", a, "fn f(z: super::Z) {}").len(), 1, "{a}: by another name");
        }
    }

    #[test]
    fn texts_that_only_look_like_paths_are_not_paths() {
        let name_nothing = [
            "// use crate::b::B;",
            "/// See [`crate::b::B`].\nstruct A;",
            "/* crate::b::B */",
            "const TEXT: &str = \"crate::b::B\";",
            "#[cfg(test)] mod tests { use crate::b::B; }",
            "#[cfg(test)] mod tests;",
            "#[cfg(test)] #[expect(unused)] pub use crate::b::{B, C};",
            "#[cfg(all(test, unix))] fn f() -> [u8; 3] { crate::b::f() }",
            "pub(in crate::b) struct A;",
            "use ::b::B; use b::B; fn f() { ::b::f(); b::f() }",
            "use crate::bee::B;",
            "use crate::B;",
        ];
        for a in name_nothing {
            assert_eq!(circles("", a, "use crate::a::A;"), [""; 0], "{a}");
        }
        let after = "#[cfg(test)] use crate::c::C; #[cfg(not(test))] use crate::b::B;";
        assert_eq!(circles("", after, "use crate::a::A;").len(), 1, "what comes after a test counts");
    }

    #[test]
    fn a_circle_is_found_at_its_level_and_says_where_it_is() {
        let modules = made_up(&[
            ("main.rs", "mod top; mod other;"),
            ("other.rs", "use crate::top::x::X;"),
            ("top/mod.rs", "mod x; mod y; mod z;"),
            ("top/x.rs", "mod deep;"),
            ("top/x/deep.rs", "\nuse crate::top::y::Y;"),
            ("top/y.rs", "use super::z::Z;"),
            ("top/z.rs", "use super::x;\nuse super::y;"),
        ]);
        let circles = modules.circles();
        assert_eq!(circles.len(), 1, "{circles:?}");
        assert!(circles[0].starts_with("crate::top::{\"x\", \"y\", \"z\"}\n    x -> y: src/top/"), "{}", circles[0]);
        assert!(circles[0].contains("src/top/x/deep.rs:2 crate::top::y::Y\n"), "{}", circles[0]);
    }

    #[test]
    fn a_parent_and_its_children_may_name_each_other() {
        let modules = made_up(&[
            ("lib.rs", "mod a; pub use a::A; use a::inner::I; struct S;"),
            ("a/mod.rs", "pub mod inner; use crate::S; use self::inner::I; pub struct A;"),
            ("a/inner.rs", "use super::A; use crate::{S, A as Again, I};"),
        ]);
        assert_eq!(modules.circles(), [""; 0]);
    }

    #[test]
    fn imports_of_each_other_do_not_loop() {
        let modules = made_up(&[("lib.rs", "mod a { pub use crate::X; } pub use a::X;")]);
        assert!(modules.circles().is_empty());
    }
}
