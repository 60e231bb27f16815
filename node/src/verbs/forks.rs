//! `lignum forks`: the branches that a node knows, best first.

use serde_json::Value;

use super::{
    NodeUrl,
    table::{ask, cell, json, shortened, table},
};
use crate::failure::Failure;

/// Branches that are asked for: all that a node tells.
const LIMIT: usize = 256;

/// Show the branches of a node's block forest.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    node: NodeUrl,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// Asks a node for its forest and prints the branches.
pub fn run(args: &Args) -> Result<(), Failure> {
    let (_, answer) = ask(&args.node, &format!("/v1/forest?limit={LIMIT}"))?;
    if args.json {
        println!("{}", json(&answer));
    } else {
        print!("{}", describe(&answer));
    }
    Ok(())
}

fn describe(answer: &Value) -> String {
    let branches = answer["branches"].as_array().map_or(&[][..], Vec::as_slice);
    let rows: Vec<_> = branches.iter().map(row).collect();
    let mut out = table(
        ["tip", "height", "length", "work", "stage", "leaves at"],
        &rows,
    );
    if branches.iter().all(|branch| branch["is_head"] == true) {
        out.push_str("no forks: the best chain is the only branch\n");
    }
    out
}

fn row(branch: &Value) -> [String; 6] {
    let is_head = branch["is_head"] == true;
    let ancestor = &branch["common_ancestor"];
    let leaves = format!(
        "#{} {}",
        cell(&ancestor["height"]),
        shortened(&ancestor["hash"])
    );
    [
        shortened(&branch["hash"]),
        format!("#{}", cell(&branch["height"])),
        cell(&branch["length"]),
        if is_head {
            "head".to_owned()
        } else {
            work(&branch["work_difference"])
        },
        cell(&branch["stage"]),
        if is_head { "-".to_owned() } else { leaves },
    ]
}

/// The difference to the head's work in words.
fn work(difference: &Value) -> String {
    let text = cell(difference);
    match text.strip_prefix('-') {
        Some(behind) => format!("{behind} behind"),
        None => format!("{text} ahead"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn branches_are_a_table_with_the_head_marked() {
        let root = json!({ "height": 3, "hash": "0xaa" });
        let head = json!({
            "hash": "0x11", "height": 5, "length": 0, "work_difference": "0", "stage": "executed",
            "is_head": true, "common_ancestor": { "height": 5, "hash": "0x11" },
        });
        let side = json!({
            "hash": "0x22", "height": 4, "length": 1, "work_difference": "-7", "stage": "body",
            "is_head": false, "common_ancestor": root,
        });
        let alone = describe(&json!({ "branches": [head] }));
        assert!(alone.contains("no forks"), "{alone}");
        let text = describe(&json!({ "branches": [head, side] }));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], "0x11  #5      0       head      executed  -");
        assert_eq!(
            lines[2],
            "0x22  #4      1       7 behind  body      #3 0xaa"
        );
        assert_eq!(lines.len(), 3);
    }
}
