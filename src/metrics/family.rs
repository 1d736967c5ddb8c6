//! A metric with closed labels: its children are found by index, so that recording allocates and locks nothing.

use std::marker::PhantomData;
use std::sync::OnceLock;

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, Result,
};

/// Seconds, for everything a machine does.
const BUCKETS: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Seconds, for everything that waits for a person.
const HUMAN: &[f64] = &[1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0];

/// A histogram of how long people take.
#[derive(Clone)]
pub struct HumanHistogram(Histogram);

impl HumanHistogram {
    pub fn observe(&self, seconds: f64) {
        self.0.observe(seconds);
    }
}

impl Metric for HumanHistogram {
    type Vector = HistogramVec;
    const KIND: &'static str = "histogram";

    fn vector(name: &str, help: &str, labels: &[&str]) -> Result<Self::Vector> {
        HistogramVec::new(HistogramOpts::new(name, help).buckets(HUMAN.to_vec()), labels)
    }

    fn child(vector: &Self::Vector, values: &[&str]) -> Self {
        Self(vector.with_label_values(values))
    }
}

/// A closed set of values of one label.
pub trait Label: Copy + 'static {
    const ALL: &'static [Self];
    fn as_str(self) -> &'static str;
    /// Its place in `ALL`.
    fn index(self) -> usize;
}

/// The labels of a family, together: a tuple of enums.
pub trait Labels: Copy {
    fn all() -> Vec<Self>;
    fn values(self) -> Vec<&'static str>;
    fn index(self) -> usize;
}

impl Labels for () {
    fn all() -> Vec<Self> {
        vec![()]
    }

    fn values(self) -> Vec<&'static str> {
        Vec::new()
    }

    fn index(self) -> usize {
        0
    }
}

impl<A: Label> Labels for (A,) {
    fn all() -> Vec<Self> {
        A::ALL.iter().map(|a| (*a,)).collect()
    }

    fn values(self) -> Vec<&'static str> {
        vec![self.0.as_str()]
    }

    fn index(self) -> usize {
        self.0.index()
    }
}

impl<A: Label, B: Label> Labels for (A, B) {
    fn all() -> Vec<Self> {
        A::ALL.iter().flat_map(|a| B::ALL.iter().map(|b| (*a, *b))).collect()
    }

    fn values(self) -> Vec<&'static str> {
        vec![self.0.as_str(), self.1.as_str()]
    }

    fn index(self) -> usize {
        self.0.index() * B::ALL.len() + self.1.index()
    }
}

impl<A: Label, B: Label, C: Label> Labels for (A, B, C) {
    fn all() -> Vec<Self> {
        A::ALL.iter().flat_map(|a| <(B, C)>::all().into_iter().map(|(b, c)| (*a, b, c))).collect()
    }

    fn values(self) -> Vec<&'static str> {
        vec![self.0.as_str(), self.1.as_str(), self.2.as_str()]
    }

    fn index(self) -> usize {
        (self.0.index() * B::ALL.len() + self.1.index()) * C::ALL.len() + self.2.index()
    }
}

/// The kinds of metric that a family can consist of.
pub trait Metric: Clone + Sized {
    type Vector: Collector + Clone + 'static;
    const KIND: &'static str;
    fn vector(name: &str, help: &str, labels: &[&str]) -> Result<Self::Vector>;
    fn child(vector: &Self::Vector, values: &[&str]) -> Self;
}

macro_rules! metric {
    ($metric:ty, $vector:ident, $kind:literal, $options:expr) => {
        impl Metric for $metric {
            type Vector = $vector;
            const KIND: &'static str = $kind;

            fn vector(name: &str, help: &str, labels: &[&str]) -> Result<Self::Vector> {
                $vector::new($options(name, help), labels)
            }

            fn child(vector: &Self::Vector, values: &[&str]) -> Self {
                vector.with_label_values(values)
            }
        }
    };
}

metric!(IntCounter, IntCounterVec, "counter", Opts::new);
metric!(IntGauge, IntGaugeVec, "gauge", Opts::new);
metric!(Gauge, GaugeVec, "gauge", Opts::new);
metric!(Histogram, HistogramVec, "histogram", |name, help| HistogramOpts::new(name, help).buckets(BUCKETS.to_vec()));

/// One metric and its children, one for each combination of label values.
pub struct Family<M: Metric, L: Labels> {
    vector: M::Vector,
    children: Vec<OnceLock<M>>,
    labels: PhantomData<fn(L)>,
}

impl<M: Metric, L: Labels> Family<M, L> {
    /// Declares the metric; its children exist once they are touched.
    pub fn register(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<Self> {
        let vector = M::vector(name, help, labels)?;
        registry.register(Box::new(vector.clone()))?;
        let children = L::all().iter().map(|_| OnceLock::new()).collect();
        Ok(Self { vector, children, labels: PhantomData })
    }

    /// The child for these labels.
    pub fn with(&self, labels: L) -> &M {
        self.children[labels.index()].get_or_init(|| M::child(&self.vector, &labels.values()))
    }

    /// Makes every child visible as zero.
    pub fn touch(&self) {
        for labels in L::all() {
            self.with(labels);
        }
    }
}
