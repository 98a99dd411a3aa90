use super::*;

/// The error of a program.
fn refused(program: &[u8]) -> String {
    read(program).unwrap_err()
}

const GLOBALS: &[u8] = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nq\x00ctorch\nFloatStorage\nq\x01";

/// A tensor of one element whose shape is on the stack between `before` and `after`.
fn with_shape(shape: &[u8]) -> Vec<u8> {
    let storage = b"(X\x07\x00\x00\x00storageh\x01X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQ";
    let name = b"}X\x01\x00\x00\x00a";
    [GLOBALS, name, b"h\x00(", storage, b"K\x00", shape, b")tRs."].concat()
}

#[test]
fn a_tensor_is_read() {
    let program = with_shape(b")");
    let storage = Storage { dtype: Dtype::F32, key: "0", elements: 1 };
    assert_eq!(read(&program), Ok(vec![("a", View { storage, offset: 0, shape: vec![], strides: vec![] })]));
}

#[test]
fn invalid_sizes_are_refused() {
    assert_eq!(refused(&with_shape(b"J\xff\xff\xff\xff\x85")), "has a size of -1");
    assert_eq!(refused(&with_shape(b"\x8a\x01\xff\x85")), "has a size of -1");
    assert_eq!(refused(&with_shape(b"\x8a\x09\0\0\0\0\0\0\0\0\x01\x85")), "has an integer of 9 bytes");
    assert_eq!(refused(&with_shape(b"K\x01")), "has a shape that is not a tuple");
    assert_eq!(refused(&with_shape(&[b"(".as_slice(), &[b'N'; 17], b"t"].concat())), "has a tensor of 17 dimensions");
}

#[test]
fn programs_with_other_globals_or_calls_are_refused() {
    for (program, expected) in [
        (b"cos\nsystem\n.".as_slice(), "names \"os.system\", which a file of tensors does not"),
        (b"ctorch\nload\n.", "names \"torch.load\", which"),
        (b"\x8c\x08builtins\x8c\x04eval\x93.", "names \"builtins.eval\", which"),
        (b"c\x1b[2J\nx\n.", "names \"\\u{1b}[2J.x\", which"),
        (b"(X\x02\x00\x00\x00idios\nsystem\n.", "has the opcode 0x69, which"),
        (b"}X\x01\x00\x00\x00a}s.", "holds \"a\", which is not a tensor"),
        (b"N)R.", "calls what is not a function"),
        (b"ccollections\nOrderedDict\nK\x01\x85R.", "calls OrderedDict with 1 arguments"),
        (b"K\x01Q.", "persistent id that is not a tuple"),
        (b")}b.", "sets attributes of what is not a dict"),
        (b"N.", "holds no dict of tensors"),
        (b".", "takes more from its stack than there is"),
        (b"(}t", "ends too early"),
        (b"h\x07.", "recalls value 7, which it did not keep"),
        (b"X\xff\xff\xff\xff", "has a text of 4294967295 bytes"),
        (b"\x8c\x02\xff\xff.", "has a text that is not UTF-8"),
    ] {
        let error = refused(program);
        assert!(error.contains(expected), "{error}");
    }
}

/// Each of these would grow without bound in a machine that copies values or is recursive.
#[test]
fn bombs_are_duds() {
    let dict_in_itself = b"}q\x00X\x01\x00\x00\x00ah\x00s.";
    assert_eq!(refused(dict_in_itself), "holds \"a\", which is not a tensor");
    let deep = [b"}".as_slice(), &vec![0x85; 900_000], b"."].concat();
    assert_eq!(refused(&deep), "holds no dict of tensors");
    let doubled = [&b")"[..], &b"q\x00h\x00\x86".repeat(300_000), b"."].concat();
    assert_eq!(refused(&doubled), "holds no dict of tensors");
    assert_eq!(refused(&vec![b'N'; 2_000_000]), "has more than 1000000 steps");
    let endless_name = [b"c".as_slice(), &vec![b'a'; 10_000]].concat();
    assert_eq!(refused(&endless_name), "has a name that does not end");
}
