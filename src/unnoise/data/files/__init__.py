"""Files that others made: trees and archives within a budget, pictures through one reader."""
