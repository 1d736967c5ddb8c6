use super::*;

struct Counting(std::sync::atomic::AtomicU8);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
        bytes.fill(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        Ok(())
    }
}

fn sealer() -> (MasterKey, Sealer) {
    let entropy = Arc::new(Counting(7.into()));
    let key = MasterKey::generate(&*entropy).unwrap();
    let sealer = Sealer::new(&key, entropy).unwrap();
    (key, sealer)
}

#[test]
fn what_is_sealed_opens_only_whole_and_in_its_context() {
    let (_, sealer) = sealer();
    let sealed = sealer.seal(b"private", "signing-key:a").unwrap();
    assert_eq!(sealed.len(), 1 + 12 + 7 + 16);
    assert!(!sealed.windows(7).any(|window| window == b"private"));
    assert_eq!(sealer.open(&sealed, "signing-key:a").unwrap().as_slice(), b"private");
    assert!(sealer.open(&sealed, "signing-key:b").is_err());
    for index in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[index] ^= 1;
        assert!(sealer.open(&changed, "signing-key:a").is_err(), "byte {index}");
        assert!(sealer.open(&sealed[..index], "signing-key:a").is_err(), "cut at {index}");
    }
}

#[test]
fn the_same_thing_is_never_sealed_twice_alike() {
    let (_, sealer) = sealer();
    assert_ne!(sealer.seal(b"x", "c").unwrap(), sealer.seal(b"x", "c").unwrap());
}

#[test]
fn a_key_reads_back_from_its_text_and_nothing_shows_it() {
    let (key, sealer) = sealer();
    let text = key.text();
    assert_eq!(MasterKey::parse(&text, "here").unwrap().fingerprint(), key.fingerprint());
    assert_eq!((key.fingerprint().len(), format!("{key:?} {sealer:?}")), (64, "MasterKey(…) Sealer(…)".to_owned()));
    for bad in ["", "AAAA", "not base64 at all", &format!("{}{}", text.expose(), text.expose())] {
        let error = MasterKey::parse(&crate::domain::SecretText::new(bad), "here").unwrap_err();
        assert_eq!(error.to_string(), "the master key in here is not 32 bytes in base64");
    }
}
