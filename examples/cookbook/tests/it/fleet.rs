//! The figures of the retry guide about a fleet of clients, and its picture.

use evenkeel_testkit::World;

use crate::examples::fleet::{fleets, picture, simulate};

const GUIDE: &str = include_str!("../../../../crates/evenkeel-retry/GUIDE.md");

#[test]
fn a_fleet_sends_as_many_calls_as_the_guide_says() {
    // The budget of a fleet reads the clock.
    World::run(async |_| {
        let [plain, jitter, budget] = fleets().map(|fleet| simulate(&fleet));
        let one_line = GUIDE.split_whitespace().collect::<Vec<_>>().join(" ");
        for (amplification, says) in [
            (jitter.amplification, "sends {} times the calls that it would have sent"),
            (budget.amplification, "it sends {} times as many"),
        ] {
            let says = says.replace("{}", &format!("{amplification:.1}"));
            assert!(one_line.contains(&says), "the guide does not say: {says}");
        }
        let peaks = [plain, jitter, budget].map(|outcome| outcome.peak);
        assert_eq!(peaks, [1000, 964, 275], "no jitter, jitter, a budget: each is less than the one before");
    });
}

#[test]
fn the_picture_has_a_row_for_each_fleet() {
    World::run(async |_| {
        let svg = picture(&fleets());
        assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>"), "{svg}");
        for fleet in fleets() {
            assert_eq!(svg.matches(&format!(">{}: ", fleet.name)).count(), 1, "{}", fleet.name);
        }
    });
}
