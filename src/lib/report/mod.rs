//! One web page of what the other tools wrote: a table of the records, each with its structure, coding track and target
//! sites, a map of the embeddings, distributions, and what the runs were.
//!
//! `results` reads the files back and puts them together by record, `principal_components` makes two numbers of each
//! embedding, and [`page()`] packs all of it into one HTML file that needs neither a network nor a server.

mod page;
mod principal_components;
mod results;
mod runs;
#[cfg(test)]
mod tests;

pub use page::page;
pub use results::{Results, files};
