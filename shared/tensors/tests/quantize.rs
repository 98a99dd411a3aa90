//! Vectors in smaller types against sentence-transformers (bits) and NumPy (bytes).

use embtune_tensors::VectorType;

#[test]
fn smaller_types_are_those_of_the_reference() {
    let expected = include_str!("quantize/expected.tsv");
    for (number, line) in expected.lines().enumerate() {
        let [vector, bits, bytes, scale] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let vector: Vec<f32> = vector.split(' ').map(|x| x.parse().unwrap()).collect();
        let bits: Vec<u8> = bits.split(' ').map(|x| x.parse().unwrap()).collect();
        let bytes: Vec<u8> = bytes.split(' ').map(|x| x.parse::<i8>().unwrap() as u8).collect();
        let mut ours = Vec::new();
        VectorType::Ubinary.store(&vector, &mut ours);
        assert_eq!(ours, bits, "vector {number}");
        ours.clear();
        assert_eq!(VectorType::Int8.store(&vector, &mut ours), scale.parse::<f32>().unwrap(), "vector {number}");
        assert_eq!(ours, bytes, "vector {number}");
    }
    assert_eq!(expected.lines().count(), 12);
}
