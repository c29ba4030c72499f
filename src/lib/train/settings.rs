//! Settings of a run: each is declared once, with its default and its range, and is then a field, a flag with a help text
//! and a key of TOML.

use clap::builder::ValueParser;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cli::numbers::{self, Range};
use crate::{Error, Result};

/// The type of a setting: how its flag is read, and which of its values are refused.
pub trait Value: Clone + Send + Sync + 'static {
    /// What the flag takes; `range` is for numbers.
    fn parser(range: Range) -> ValueParser;

    /// Whether the value may stand; `range` is for numbers.
    fn is_within(&self, _range: Range) -> bool {
        true
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {
        $(impl Value for $type {
            fn parser(range: Range) -> ValueParser {
                ValueParser::new(numbers::parser::<$type>(range))
            }

            fn is_within(&self, range: Range) -> bool {
                range.contains(*self as f64)
            }
        })*
    };
}

numbers!(u64, usize, f64);

impl Value for bool {
    fn parser(_: Range) -> ValueParser {
        ValueParser::bool()
    }
}

impl Value for String {
    fn parser(_: Range) -> ValueParser {
        ValueParser::string()
    }
}

/// A group of settings, every one of them with a value. The macro `settings!` makes one.
pub trait Settings: Clone + std::fmt::Debug + PartialEq + Default + Serialize + DeserializeOwned + Send + Sync {
    /// The same settings as flags, each of which may be missing.
    type Flags: clap::Args + Clone + Default + Serialize;

    /// Checks each value against its range.
    ///
    /// # Errors
    /// [`Error::Usage`] names the setting that is out of its range.
    fn check(&self) -> Result<()>;
}

/// What [`Settings::check`] says of one value.
pub(super) fn check(name: &str, value: &(impl Value + std::fmt::Debug), range: Range) -> Result<()> {
    match value.is_within(range) {
        true => Ok(()),
        false => {
            Err(Error::Usage(format!("--{}: {value:?} is out of range, give a number {range}", name.replace('_', "-"))))
        }
    }
}

/// Declares a group of settings: the struct of values, which implements [`Settings`] and whose `Default` has the given
/// defaults, and the struct of its flags under a heading of the help.
///
/// ```text
/// settings! {
///     /// What the group is about.
///     pub struct NAME, flags FLAGS under "Heading" {
///         /// What the setting does: the help of its flag.
///         name: type = default, in RANGE;
///     }
/// }
/// ```
macro_rules! settings {
    (
        $(#[$about:meta])*
        pub struct $values:ident, flags $flags:ident under $heading:literal {
            $($(#[$doc:meta])* $name:ident: $type:ty = $default:expr, in $range:ident;)*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        pub struct $values {
            $($(#[$doc])* pub $name: $type,)*
        }

        #[doc = concat!("[`", stringify!($values), "`] as flags; what is not given stays as it is.")]
        #[derive(Clone, Debug, Default, PartialEq, clap::Args, serde::Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub struct $flags {
            $(
                $(#[$doc])*
                #[arg(
                    long,
                    value_name = "X",
                    help_heading = $heading,
                    value_parser = <$type as $crate::train::settings::Value>::parser($crate::cli::numbers::Range::$range)
                )]
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $name: Option<$type>,
            )*
        }

        impl $crate::train::tasks::OwnArguments for $flags {
            fn settings(&self) -> $crate::Result<toml::Table> {
                $crate::train::settings::to_table(self)
            }
        }

        impl Default for $values {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl $crate::train::settings::Settings for $values {
            type Flags = $flags;

            fn check(&self) -> $crate::Result<()> {
                $($crate::train::settings::check(stringify!($name), &self.$name, $crate::cli::numbers::Range::$range)?;)*
                Ok(())
            }
        }
    };
}

pub(super) use settings;

/// `defaults`, replaced by what the `layers` say, the last one last.
///
/// # Errors
/// Where a layer has a key that is none of the group's, or a value that its setting does not take.
pub fn resolve<S: Settings>(defaults: &S, layers: &[&toml::Table]) -> Result<S> {
    let mut table = to_table(defaults)?;
    for layer in layers {
        table.extend((*layer).clone());
    }
    let settings: S =
        table.try_into().map_err(|error: toml::de::Error| Error::Usage(error.message().trim().to_owned()))?;
    settings.check()?;
    Ok(settings)
}

/// Settings or flags as a table of TOML, without what is not given.
///
/// # Errors
/// Where a value has no place in TOML.
pub fn to_table(settings: &impl Serialize) -> Result<toml::Table> {
    toml::Table::try_from(settings)
        .map_err(|error| Error::Failed(format!("the settings cannot be written as TOML: {error}")))
}

/// The argument with the default of the setting that it is the flag of, if it is one of these.
pub fn with_default(argument: clap::Arg, defaults: &toml::Table) -> clap::Arg {
    let key = argument.get_id().as_str().replace('_', "-");
    let shown = match defaults.get(&key) {
        Some(toml::Value::String(text)) if text.is_empty() => return argument,
        Some(toml::Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => return argument,
    };
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    argument.help(format!("{help} [default: {shown}]"))
}
