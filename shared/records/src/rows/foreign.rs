//! Files that are not text.

/// How files begin, what they are, and what makes text of them.
const FOREIGN: [(&[u8], &str, &str); 11] = [
    (b"\x1f\x8b", "compressed (gzip)", "zcat FILE"),
    (b"\x28\xb5\x2f\xfd", "compressed (Zstandard)", "zstdcat FILE"),
    (b"\x04\x22\x4d\x18", "compressed (LZ4)", "lz4cat FILE"),
    (b"BZh", "compressed (bzip2)", "bzcat FILE"),
    (b"\xfd7zXZ", "compressed (xz)", "xzcat FILE"),
    (b"PK\x03\x04", "an archive or a workbook (zip)", "unzip -p FILE NAME, or save the sheet as CSV"),
    (b"PAR1", "Parquet", "python3 -c 'import pandas; pandas.read_parquet(\"FILE\").to_csv(\"FILE.csv\", index=False)'"),
    (b"ARROW1", "Arrow", "python3 -c 'import pandas; pandas.read_feather(\"FILE\").to_csv(\"FILE.csv\", index=False)'"),
    (b"\x80\x04", "a pickle of Python", "json.dump what pickle.load gives"),
    (b"\xff\xfe", "UTF-16", "iconv -f UTF-16 -t UTF-8 FILE"),
    (b"\xfe\xff", "UTF-16", "iconv -f UTF-16 -t UTF-8 FILE"),
];

/// What a file is that begins like this, and the remedy, when it is no text that is read here.
pub(super) fn recognise(head: &[u8]) -> Option<String> {
    let (_, what, remedy) = FOREIGN.iter().find(|(magic, ..)| head.starts_with(magic))?;
    Some(format!("{what}, which is not read\nhint: {remedy}"))
}
