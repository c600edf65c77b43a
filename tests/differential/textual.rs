//! Functions with texts among their arguments.

use crate::grammar::Grammar;
use crate::selector::Flavour;
use crate::tree::{Kind, Tree};

impl Grammar {
    /// A call of one of [`crate::catalogue::TEXTUAL`].
    pub(crate) fn textual(&mut self, name: &'static str, depth: usize) -> Tree {
        let tree = Tree::new(Kind::Vector).text(format!("{name}(")).has(name);
        match name {
            "label_join" => {
                let rest = [
                    "\"new\", \"-\", \"job\", \"instance\"",
                    "\"job\", \"\", \"job\", \"missing\"",
                    "\"new\", \",\"",
                    "\"instance\", \"/\", \"instance\", \"job\", \"instance\"",
                    "\"__name__\", \"_\", \"__name__\", \"job\"",
                ];
                self.labelled(tree, &rest, depth)
            }
            "label_replace" => {
                let rest = [
                    "\"new\", \"$1\", \"instance\", \"(.*)-.*\"",
                    "\"job\", \"x-${1}\", \"job\", \"(.)(.*)\"",
                    "\"job\", \"\", \"job\", \"api\"",
                    "\"new\", \"$name\", \"instance\", \"(?P<name>[a-z]+)-.*\"",
                    "\"new\", \"$2$1\", \"instance\", \"([a-z]+)-([0-9]).*\"",
                    "\"new\", \"empty\", \"missing\", \"\"",
                    "\"__name__\", \"renamed\", \"__name__\", \".*\"",
                    "\"new\", \"$3\", \"job\", \"(a)(p)i\"",
                ];
                self.labelled(tree, &rest, depth)
            }
            "histogram_quantiles" => {
                let rest = [
                    "\"q\", 0.5",
                    "\"q\", 0.5, 0.9",
                    "\"quantile\", 0, 0.25, 1",
                    "\"q\", 0.1, 0.1",
                    "\"q\", time() % 5 / 4",
                    "\"q\", time() % 11 / 10, 0.45",
                    "\"q\", (time() % 2) / (time() % 2), time() % 3 - 0.5",
                    "\"le\", 0.5, scalar(count(up)) / 10",
                ];
                let metric = self.random.pick(&[Flavour::Native, Flavour::Bucket]);
                let inner = self.selector(metric, false);
                tree.child(inner).text(format!(", {})", self.random.pick(&rest)))
            }
            "info" => {
                let rest = [
                    "",
                    "",
                    ", {cluster=~\".+\"}",
                    ", {env=\"prod\"}",
                    ", {__name__=\"build_info\"}",
                ];
                let rest = self.random.pick(&rest);
                let inner = self.vector(depth);
                tree.child(inner).text(rest).text(")")
            }
            _ => {
                let labels = [
                    "\"instance\"",
                    "\"job\", \"instance\"",
                    "\"code\", \"method\"",
                    "\"queue\"",
                    "\"missing\"",
                ];
                self.labelled(tree, &labels, depth)
            }
        }
    }

    fn labelled(&mut self, tree: Tree, rest: &[&'static str], depth: usize) -> Tree {
        let inner = self.vector(depth);
        tree.child(inner).text(format!(", {})", self.random.pick(rest)))
    }
}
