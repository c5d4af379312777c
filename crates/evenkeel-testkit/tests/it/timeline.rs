//! Timelines.

mod scenes;

use std::fs;

use self::scenes::SCENES;

#[test]
fn draw_all() {
    let Ok(folder) = std::env::var("TIMELINES") else { return };
    let mut scenes = SCENES.to_vec();
    #[cfg(feature = "http")]
    scenes.push(("calls", scenes::calls));
    for (name, scene) in scenes {
        let drawn = scene();
        fs::write(format!("{folder}/{name}.svg"), drawn.to_svg()).unwrap();
        fs::write(format!("{folder}/{name}-390.svg"), drawn.to_svg_of_width(390)).unwrap();
        fs::write(format!("{folder}/{name}.txt"), drawn.to_text()).unwrap();
        fs::write(format!("{folder}/{name}.json"), drawn.to_json()).unwrap();
    }
}
