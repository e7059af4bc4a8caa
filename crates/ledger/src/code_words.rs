//! Code words: a digest as six words that two people, or two screens, can compare.

use lockgate_model::Digest;

/// The first six bytes of a digest as words, 48 bits: enough to notice that two screens show different documents.
///
/// Not a commitment on its own: the signature covers the whole document.
pub fn code_words(digest: &Digest) -> String {
    let words = digest.as_bytes().iter().take(6).filter_map(|byte| WORDS.get(usize::from(*byte)).copied());
    words.collect::<Vec<_>>().join(" ")
}

/// The words: one for each byte.
pub const WORDS: [&str; 256] = [
    "acorn", "actor", "adult", "alarm", "album", "amber", "angle", "ankle", "apple", "april", "arena", "armor",
    "arrow", "aspen", "atlas", "attic", "audio", "autumn", "badge", "bagel", "baker", "bamboo", "banjo", "barrel",
    "basil", "basket", "beacon", "beaver", "bench", "berry", "bison", "blanket", "blossom", "bonfire", "border",
    "bottle", "branch", "bread", "bridge", "bronze", "brush", "bubble", "bucket", "buffalo", "butter", "cabin",
    "cactus", "camel", "camera", "canal", "candle", "canoe", "canyon", "carbon", "cargo", "carpet", "castle", "cedar",
    "cello", "chalk", "cherry", "chess", "chimney", "cider", "circle", "circus", "citrus", "clay", "cliff", "clock",
    "cloud", "clover", "cobalt", "coconut", "comet", "copper", "coral", "cotton", "cousin", "cradle", "crater",
    "cricket", "crystal", "cubic", "dairy", "daisy", "dancer", "delta", "denim", "desert", "diamond", "dinner",
    "dolphin", "donkey", "dragon", "drum", "eagle", "earth", "easel", "echo", "elbow", "ember", "engine", "envelope",
    "fabric", "falcon", "feather", "fence", "ferry", "fiddle", "flame", "flute", "forest", "fossil", "fountain",
    "foxglove", "galaxy", "garden", "garlic", "gazelle", "ginger", "glacier", "glove", "goblet", "golden", "grain",
    "granite", "grape", "gravel", "guitar", "hammer", "harbor", "harvest", "hazel", "heron", "hickory", "honey",
    "horizon", "hotel", "hunter", "igloo", "indigo", "island", "ivory", "jacket", "jaguar", "jasmine", "jelly",
    "jewel", "jigsaw", "jungle", "kettle", "kitten", "koala", "ladder", "lagoon", "lantern", "laurel", "lemon",
    "leopard", "lettuce", "lilac", "linen", "lizard", "lobster", "lotus", "lumber", "magnet", "mango", "maple",
    "marble", "meadow", "melon", "mirror", "mitten", "monkey", "morning", "mosaic", "mountain", "museum", "mustard",
    "nectar", "needle", "nickel", "noodle", "nutmeg", "oasis", "ocean", "olive", "onion", "opera", "orange", "orchard",
    "orchid", "otter", "oyster", "paddle", "palace", "panda", "paper", "parrot", "pearl", "pebble", "pepper", "piano",
    "pigeon", "pillow", "pioneer", "planet", "plum", "pocket", "polar", "poplar", "potato", "prairie", "prism",
    "pumpkin", "puzzle", "quartz", "quill", "rabbit", "radio", "raven", "ribbon", "river", "robin", "rocket", "saddle",
    "saffron", "sail", "salmon", "sandal", "sapphire", "satin", "scarf", "shell", "silver", "sleigh", "sparrow",
    "spider", "spruce", "squash", "stable", "statue", "stone", "summer", "sunset", "swan", "temple", "thimble",
    "tulip", "velvet", "walnut", "willow", "winter", "zebra",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_distinct_and_the_code_has_six() {
        let mut words = WORDS.to_vec();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), 256);
        assert_eq!(code_words(&Digest::of(b"")).split(' ').count(), 6);
        assert_ne!(code_words(&Digest::of(b"a")), code_words(&Digest::of(b"b")));
    }
}
