//! Target sites as text to look at: a line that names the site, and how the miRNA lies on it in three lines, as miRanda draws
//! it.

use std::io::{self, Write};

use super::number;
use crate::decode::target_alignment::drawing;
use crate::predict::mirtarget::{Site, SitePrediction};

/// Writes a site and an empty line; nothing where there is no duplex.
///
/// # Errors
/// Those of the output.
pub fn write(output: &mut impl Write, site: &Site, prediction: &SitePrediction) -> io::Result<()> {
    let Some(duplex) = &prediction.duplex else { return Ok(()) };
    let (pair, window, target) = (site.pair(), site.on_forward(&site.window), &site.target);
    let probability = number::format(prediction.affinity.probability);
    writeln!(
        output,
        ">{} {}:{}-{}({}) {} probability={probability} energy={:.2}",
        site.mirna.id,
        target.id,
        window.start,
        window.end,
        target.strand.as_str(),
        site.seed_type(),
        duplex.energy,
    )?;
    writeln!(output, "{}", drawing(pair.mirna, pair.site, duplex))
}
